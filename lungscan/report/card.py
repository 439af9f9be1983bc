"""A weights file's card in a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungscan.weights import Weights


def show(weights: Weights, console: Console | None = None) -> None:
    """Two columns: what is said, and what it says."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    card = asdict(weights.card)
    about: dict[str, Any] = card.pop("about")
    for key, value in {**card, "sha256": weights.sha256, **about}.items():
        table.add_row(Text(key.replace("_", " ")), Text(_words(value)))
    (console or Console()).print(table)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        texts = any(isinstance(inner, str) and " " in inner for inner in value)
        return ("\n" if texts else " ").join(_words(inner) for inner in value)
    return "none" if value is None else str(value)
