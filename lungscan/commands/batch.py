"""`lungscan batch`: many scans, from folders, lists or globs, to a folder of reports and their summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lungscan.commands import options as o
from lungscan.commands.scan import Kind

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from lungscan.batch.inputs import Inputs, Scan
    from lungscan.batch.local import Done, Told
    from lungscan.batch.session import Batch

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Folders of studies, zips, volume files, globs, lists (@FILE or FILE.txt, a path a line), URLs.",
        show_default=False,
    ),
]


def batch(
    paths: Paths,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder or URL for what is written.", show_default=False)
    ],
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="Scans in memory at a time: one computed, others read and written.")
    ] = 2,
    restart: Annotated[bool, typer.Option("--restart", help="Do all anew, whatever is finished.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on as studies arrive, until Ctrl-C.")] = False,
    settle: Annotated[
        float, typer.Option(metavar="S", min=0.0, help="With --watch: a study is whole when unchanged for S seconds.")
    ] = 30.0,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on the Ray cluster there; auto finds it.", show_default=False)
    ] = None,
    weights: o.WeightsFile = None,
    device: o.DeviceOption = o.Device.auto,
    engine: o.EngineOption = o.EngineName.auto,
    precision: o.PrecisionOption = o.Precision.auto,
    lung_gate: o.LungGate = True,
    threshold_segmentation: o.Segmentation = None,
    threshold_nodule: o.Nodule = None,
    threshold_malignancy: o.Malignancy = None,
    fp_per_scan: o.FpPerScan = None,
    max_memory: o.MaxMemory = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON a scan on stdout, and nothing else.")] = False,
    all_candidates: Annotated[
        bool, typer.Option("--all-candidates", help="Every candidate in the JSON and in predictions.csv.")
    ] = False,
    write: Annotated[
        list[Kind] | None, typer.Option(help="Besides JSON, write each report in this form.", show_default=False)
    ] = None,
    fail_on_suspicious: Annotated[
        bool, typer.Option("--fail-on-suspicious", help="Exit with 10 when a patient is.")
    ] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,  # noqa: ARG001 (looked at in lungscan.commands.main)
) -> None:
    """Find the nodules of many chest CTs.

    Each scan has a folder in DIR with its report; summary.csv, summary.jsonl, predictions.csv (LUNA16's columns) and
    index.html tell of all. Run the same command again after an interruption: what is finished is kept. Exits with 5 when a
    scan failed or was refused.

    Example: lungscan batch LIDC-IDRI -o reports --write html
    """
    from contextlib import closing

    from lungscan.batch.inputs import Inputs
    from lungscan.batch.session import open_batch
    from lungscan.batch.work import Order
    from lungscan.commands.batch_display import Display

    thresholds = (threshold_segmentation, threshold_nodule, threshold_malignancy)
    settings = o.settings(None, weights, device, engine, precision, lung_gate, thresholds, fp_per_scan, max_memory)
    order = Order(settings, tuple(kind.value for kind in write or ()), all_candidates)
    inputs = Inputs(paths, output)
    scans = inputs.scans(answer_all=not watch)
    with open_batch(output, order, restart=restart) as session, Display(quiet=quiet, as_json=as_json) as display:
        missing = session.missing(scans)
        display.begin(len(scans), len(missing), inputs.passed_over)
        source = _arriving(session, inputs, settle) if watch else iter(missing)
        try:
            if watch or missing:
                with closing(_run(source, session, jobs, ray, display.told)) as running:
                    for done in running:
                        if done is not None:
                            session.keep(*done)
                            display.row(done[1])
                        elif display.fresh:
                            session.summarise()
                            display.fresh = False
        finally:
            session.summarise()
        rows = [row for scan in scans if (row := session.row(scan)) is not None]
        display.end(rows, output)
    if fail_on_suspicious and any(row.suspicious for row in rows):
        raise typer.Exit(10)
    if any(row.status != "ok" for row in rows):
        raise typer.Exit(5)


def _run(
    scans: Iterator[Scan | None], session: Batch, jobs: int, address: str | None, told: Told
) -> Generator[Done | None, None, None]:
    if address is not None:
        from lungscan.batch import ray

        return ray.run(scans, session.order, session.outputs, jobs, address)
    from lungscan.batch import local
    from lungscan.batch.work import Examiner
    from lungscan.pipeline import Networks

    examiner = Examiner(session.order, Networks.open(session.order.settings), jobs)
    return local.run(scans, examiner, session.outputs, jobs, told)


def _arriving(session: Batch, inputs: Inputs, settle_s: float) -> Iterator[Scan | None]:
    from lungscan.batch.watch import arrivals

    for scan in arrivals(lambda: inputs.scans(answer_all=False), settle_s):
        if scan is None or not session.finished(scan):
            yield scan
