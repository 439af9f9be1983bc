"""`lungscan weights`: look at a weights file, or make one from the book's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

weights = typer.Typer(name="weights", help="Look at a weights file, or import the book's checkpoints.", no_args_is_help=True)


@weights.command(name="import")
def import_(
    segmentation: Annotated[Path, typer.Option(help="The book's segmentation checkpoint (seg_*.state).")],
    nodule: Annotated[Path, typer.Option(help="The book's nodule checkpoint (cls_*.state).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The weights file to write.")],
    malignancy: Annotated[Path | None, typer.Option(help="The book's fine-tuned malignancy checkpoint.")] = None,
) -> None:
    """Write one weights file from the checkpoints of *Deep Learning with PyTorch*, part 2.

    The checkpoints are pickles: torch reads them in a child process with `weights_only`, so nothing in them is run.

    Example: lungscan weights import --segmentation seg.state --nodule cls.state -o book.safetensors
    """
    from lungscan.errors import UsageError
    from lungscan.weights.book import import_checkpoints

    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent} to write {output.name} into.")
    card = import_checkpoints(segmentation, nodule, malignancy, output)
    typer.echo(f"{output}: networks of {card.name}" + ("" if card.malignancy else ", without a malignancy network"))


@weights.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A weights file; the shipped one when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The card as JSON.")] = False,
) -> None:
    """Show a weights file's card: its networks, input, thresholds, training, figures, licence and known failures.

    Example: lungscan weights show
    """
    from lungscan.weights import load, shipped

    path = file or shipped()
    loaded = load(path)
    if as_json:
        typer.echo(loaded.card.to_json())
        return
    from lungscan.report.card import show as show_card

    show_card(loaded)
