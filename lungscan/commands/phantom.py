"""`lungscan phantom`: write synthetic chest CTs with known nodules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if missing.", show_default=False)],
    scans: Annotated[int, typer.Option(min=1, help="How many scans.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    file_format: Annotated[str, typer.Option("--format", metavar="mhd|dicom|nifti|nrrd", help="File format.")] = "mhd",
    orientation: Annotated[
        str, typer.Option(metavar="CODE", help="Where column, row and slice index increase to: three of L/R, P/A, S/I.")
    ] = "LPS",
) -> None:
    """Write synthetic chest CTs with known nodules, in LUNA16's layout.

    The scans lie in DIR/subset0; annotations.csv, candidates.csv, annotations_with_malignancy.csv and nodules.csv in DIR
    hold the truth. About ten seconds a scan.

    Example: lungscan phantom phantoms --scans 3 --seed 7 --format dicom
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from lungscan.phantom import WrittenScan, write_dataset

    columns = (TextColumn("phantoms"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    written: list[WrittenScan] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=scans)

        def show(scan: WrittenScan) -> None:
            written.append(scan)
            bar.advance(task)

        write_dataset(folder, scans, seed, file_format, orientation.upper(), show)
    for scan in written:
        typer.echo(f"{scan.path}: {len(scan.nodules)} nodules")
    typer.echo(f"{folder / 'annotations.csv'}: {sum(len(s.nodules) for s in written)} nodules in all")
