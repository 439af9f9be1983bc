"""`lungscan evaluate froc`: judge marks by LUNA16's protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungscan.commands import options as o

if TYPE_CHECKING:
    from lungscan.evaluation.froc import Froc

SHOWN_MISSES = 5


def froc(
    annotations: Annotated[Path, typer.Option(help="The nodules: seriesuid, coordX, coordY, coordZ, diameter_mm.")],
    excluded: Annotated[Path, typer.Option(help="Findings that do not count, in the same columns.")],
    series: Annotated[Path, typer.Option(help="The scans that count, one UID a line.")],
    predictions: Annotated[Path, typer.Option(help="The marks: seriesuid, coordX, coordY, coordZ, probability.")],
    as_json: o.AsJson = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for froc.json.", show_default=False)
    ] = None,
) -> None:
    """LUNA16's FROC: sensitivity at 1/8 to 8 false positives a scan, their mean (CPM), and what is missed.

    A mark hits a nodule when it lies within its radius. Intervals hold 95 % of 1000 bootstraps over scans.

    Example: lungscan evaluate froc --annotations annotations.csv --excluded annotations_excluded.csv --series seriesuids.csv
    --predictions predictions.csv
    """
    import json
    from dataclasses import asdict

    from lungscan.evaluation.froc import froc as run
    from lungscan.evaluation.tables import read_places, read_series

    names = read_series(series)
    result = run(
        names,
        read_places(annotations, names, "diameter_mm"),
        read_places(excluded, names, "diameter_mm"),
        read_places(predictions, names, "probability"),
    )
    text = json.dumps(asdict(result), indent=1)
    if output is not None:
        from lungscan.files import make_folder, write_text

        make_folder(output)
        write_text(output / "froc.json", text + "\n")
    if as_json:
        typer.echo(text)
    else:
        _show(result)


def _show(result: Froc) -> None:
    from rich.console import Console

    from lungscan.commands.figures import froc_table
    from lungscan.report.text import harmless

    console, c = Console(highlight=False), result.counts
    console.print(froc_table(result))
    low, high = result.cpm_interval
    console.print(f"CPM {result.cpm:.4f} ({low:.3f} to {high:.3f})", style="bold")
    console.print(
        f"{c.scans} scans, {c.nodules} nodules: {c.true_positives} marked, {c.false_negatives} not marked; "
        f"{c.candidates} marks: {c.false_positives} false positives, {c.ignored_on_excluded} on excluded findings and "
        f"{c.double_detections_ignored} doubles ignored"
    )
    console.print(f"missed at {result.rates[-1]:g} false positives a scan: {len(result.misses)}")
    for miss in result.misses[:SHOWN_MISSES]:
        best = "no mark" if miss.best_score is None else f"best score {miss.best_score:.4f}"
        place = ", ".join(f"{v:.1f}" for v in miss.centre_xyz_mm)
        console.print(
            f"  {harmless(miss.series)}: {miss.diameter_mm:.1f} mm at {place} mm, {best}", markup=False, soft_wrap=True
        )
    if len(result.misses) > SHOWN_MISSES:
        console.print(f"  and {len(result.misses) - SHOWN_MISSES} more: --json lists them all")
