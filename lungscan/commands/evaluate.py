"""`lungscan evaluate`: judge marks or networks by the field's own protocol."""

from __future__ import annotations

import typer

from lungscan.commands.evaluate_froc import froc
from lungscan.commands.evaluate_model import model

evaluate = typer.Typer(name="evaluate", help="Judge marks or networks by the field's own protocol.", no_args_is_help=True)
evaluate.command()(froc)
evaluate.command()(model)
