"""Everything that lungscan writes, as pieces of work on a folder, each with an older and a newer content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from lungscan.engines import store
from PIL import Image

from lungscan import files, weights
from lungscan.batch.inputs import Scan
from lungscan.batch.rows import OK, REFUSED, Row
from lungscan.batch.session import open_batch
from lungscan.batch.work import Order
from lungscan.phantom import writers
from lungscan.report import html, pictures, writing
from lungscan.settings import Settings
from lungscan.training import checkpoint, crop_files, preview, splits
from lungscan.training.cache import Cache
from lungscan.training.run import Run
from lungscan.training.samples import Crops
from tests.batch.made import chest
from tests.report.made import Made, made
from tests.support import random_networks, small_card
from tests.training import balls

Work = Callable[[Path, int], None]
"""Writes version 0 or 1 of something into a folder."""


def one_file(folder: Path, version: int) -> None:
    files.write_bytes(folder / "file", bytes([version]) * 100_000)


@cache
def examined(version: int) -> Made:
    """Version 1 has one nodule fewer."""
    whole = made()
    return replace(whole, report=replace(whole.report, nodules=whole.report.nodules[version:]))


def report(*kinds: str) -> Work:
    def write(folder: Path, version: int) -> None:
        writing.write(kinds, examined(version), folder)

    return write


def drawn(*kinds: str) -> Work:
    """Pictures and the page, drawn by stand-ins: a drawing takes a second."""

    def sheet(of: Made, *_: object) -> Image.Image:
        return Image.new("L", (8, 8), len(of.report.nodules))

    def write(folder: Path, version: int) -> None:
        with (
            mock.patch.multiple(pictures, overview_sheet=sheet, nodule_sheet=sheet),
            mock.patch.object(html, "to_html", lambda of: f"{len(of.report.nodules)}" * 10_000),
        ):
            writing.write(kinds, examined(version), folder)

    return write


def cache_entries(folder: Path, version: int) -> None:
    cache = Cache(folder)
    entries = [balls.entry(cache, index, nodules=2 + version) for index in range(2)]
    splits.write(folder, entries, seed=version)


def compressed_entry(folder: Path, version: int) -> None:
    balls.entry(Cache(folder, compress=True), 0, nodules=2 + version)


def contact_sheets(folder: Path, version: int) -> None:
    cache = Cache(folder / ".cache")
    entry = balls.entry(cache, version)
    preview.write_sheets(cache, [entry], {entry.patient: "training"}, folder)


def training_checkpoint(folder: Path, version: int) -> None:
    checkpoint.save(folder / "nodule", {"module.x": torch.full((1000,), float(version))}, {"step": version}, {"seed": 0})


def crops(folder: Path, version: int) -> None:
    four = np.ones(4, bool)
    cut = Crops(
        np.full((4, 1, 9, 9, 9), version, np.int16), four, four.astype(np.float32), four.astype(str), four.astype(str)
    )
    crop_files.held(folder / f"training-{version}.npz", lambda: cut)


def run_folder(folder: Path, version: int) -> None:
    run = Run(folder, small_card())
    facts = {"trained_on": [], "validated_on": [], "learned_from": "", "best_by": "", "step": version, "figures": {}}
    for network, tensors in random_networks(small_card(), version).items():
        run.begin(network)
        run.keep(network, tensors, {**facts, "command": "lungscan train"})
    run.write_weights()


def weights_file(folder: Path, version: int) -> None:
    weights.save(folder / "w.safetensors", small_card(), random_networks(small_card(), version))


def phantom(kind: str) -> Work:
    def write(folder: Path, version: int) -> None:
        volume = chest(version)
        few = replace(volume, hu=volume.hu[:3], grid=volume.grid.part(((0, 3), (0, 140), (0, 140))))
        writers.write(replace(few, source=replace(few.source, series_uid="1.2.3")), folder, kind)

    return write


def batch_outputs(folder: Path, version: int) -> None:
    """Two scans, one of them refused at last."""
    with (
        mock.patch.object(Order, "key", return_value=f"order{version}"),
        open_batch(str(folder), Order(Settings())) as batch,
    ):
        for name in ("a", "b"):
            scan = Scan(name, f"in/{name}", None, "stamp")
            if not batch.finished(scan):
                files.write_text(batch.outputs.stage(name) / "report.json", f"{name} {version}")
                batch.keep(scan, Row(name, scan.path, REFUSED if name == "b" and version else OK))
        batch.summarise()


def engine_store(folder: Path, version: int) -> None:
    """In a user's cache: `XDG_CACHE_HOME` must be the folder."""
    assert store.folder().is_relative_to(folder)
    key = store.Key("compiled", "segmentation", "a" * 64, "fp32", "openvino", "cpu")
    store.save(key, store.Entry({".blob": bytes([version]) * 1000}, {"verified": version}))


WORKS: dict[str, Work] = {
    "one file": one_file,
    "report": report("json", "csv", "markups", "nifti", "nrrd", "mha"),
    "page and pictures": drawn("html", "png"),
    "cache": cache_entries,
    "compressed cache": compressed_entry,
    "contact sheets": contact_sheets,
    "checkpoint": training_checkpoint,
    "crops": crops,
    "run": run_folder,
    "weights": weights_file,
    "phantom mhd": phantom("mhd"),
    "phantom nifti": phantom("nifti"),
    "phantom dicom": phantom("dicom"),
    "batch": batch_outputs,
    "engine store": engine_store,
}
