"""The first networks: trained in minutes on synthetic chests, so that the demonstration needs nothing else.

    python -m lungscan.training.first -o lungscan/weights/phantom.safetensors

Every chest comes from a seed, so the whole training is in this command. Some chests are kept aside to judge by. What these
networks have learned is the phantom: their card says so, and so does every report made with them.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lungscan import weights
from lungscan.findings import Candidate, Thresholds
from lungscan.kernels.crop import crops
from lungscan.malignancy_rules import RULES
from lungscan.networks import graph
from lungscan.networks.cnn3d import Cnn3d
from lungscan.networks.unet import UNet
from lungscan.phantom import PhantomNodule, make_chest
from lungscan.stages.classify import classify
from lungscan.stages.group import group
from lungscan.stages.lungs import Lungs
from lungscan.stages.normalise import normalise
from lungscan.stages.segment import segment
from lungscan.volume import Volume
from lungscan.weights.card import Card, Cnn3dCard, GroupingCard, InputCard, UNetCard

SEED = 20
TRAINING, KEPT_ASIDE = 28, 8  # chests
PATCH = 64  # pixels of a training stack's side
MARGIN_IRC = (4, 10, 10)  # how much larger the classifier's samples are than its crop, for shifts
SEGMENTATION_STEPS, NODULE_STEPS, MALIGNANCY_STEPS = 700, 500, 250

CARD = Card(
    name="phantom-1",
    input=InputCard(window_hu=(-1000, 400), spacing_irc_mm=(2.0, 1.25, 1.25), context_slices=3, crop_irc=(20, 32, 32)),
    segmentation=UNetCard(depth=3, width=8),
    nodule=Cnn3dCard(widths=(8, 16, 32, 48)),
    malignancy=Cnn3dCard(widths=(8, 16, 32, 48)),
    grouping=GroupingCard(cleanup="none", connectivity=26, minimum_mm3=15.0),
    thresholds=Thresholds(segmentation=0.5, nodule=0.5, malignancy=0.5),
    label_rule="two-of-four",
)


@dataclass(frozen=True)
class Chest:
    """A phantom on the networks' grid."""

    volume: Volume
    lungs: Lungs
    nodules: tuple[PhantomNodule, ...]
    mask: npt.NDArray[np.bool_]


def prepare(index: int) -> Chest:
    """One chest, with its nodules drawn as their dense voxels within the true radius and half a voxel."""
    phantom = make_chest(SEED, index)
    volume, lungs = normalise(phantom.volume, CARD.input.spacing_irc_mm, lung_gate=True)
    assert lungs is not None
    mask = np.zeros(volume.grid.shape, bool)
    index_irc = np.stack(np.meshgrid(*(np.arange(n) for n in mask.shape), indexing="ij"), axis=-1, dtype=np.float32)
    for nodule in phantom.nodules:
        radius = nodule.diameter_mm / 2 + 0.5
        centre = volume.grid.irc(nodule.centre_xyz_mm)
        reach = np.ceil(radius / np.asarray(volume.grid.spacing_irc_mm)).astype(int) + 1
        box = tuple(slice(max(int(c) - n, 0), int(c) + n + 2) for c, n in zip(centre, reach, strict=True))
        distance = np.linalg.norm((index_irc[box] - centre) * volume.grid.spacing_irc_mm, axis=-1)
        mask[box] |= (distance <= radius) & (volume.hu[box] > -750)
    return Chest(volume, lungs, phantom.nodules, mask)


def stacks(chests: Sequence[Chest], batch: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of HU stacks and masks: half of them near a nodule, half anywhere in the lungs; mirrored at random."""
    near = [np.argwhere(c.mask) for c in chests]
    inside = [np.argwhere(c.lungs.mask) for c in chests]
    context = CARD.input.context_slices
    while True:
        hu, truth = [], []
        for k in range(batch):
            which = int(rng.integers(len(chests)))
            chest = chests[which]
            if k % 2:
                place = near[which][rng.integers(len(near[which]))] + [0, *rng.integers(-24, 25, 2)]
            else:
                at = inside[which][rng.integers(len(inside[which]))]
                place = np.rint(chest.volume.grid.irc(chest.lungs.grid.xyz(at))).astype(int)
            shape = chest.volume.grid.shape
            i = int(np.clip(place[0], 0, shape[0] - 1))
            r, c = (int(np.clip(p - PATCH // 2, 0, n - PATCH)) for p, n in zip(place[1:], shape[1:], strict=True))
            slices = np.clip(np.arange(i - context, i + context + 1), 0, shape[0] - 1)
            flip = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(2))
            hu.append(chest.volume.hu[slices, r : r + PATCH, c : c + PATCH][(slice(None), *flip)])
            truth.append(chest.mask[i, r : r + PATCH, c : c + PATCH][flip])
        x = torch.from_numpy(np.stack(hu).astype(np.float32)).clamp(*CARD.input.window_hu)
        yield x + torch.randn_like(x) * 15, torch.from_numpy(np.stack(truth).astype(np.float32))[:, None]


def segmentation_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy with nodule voxels counted five times, and Dice over the batch."""
    p = torch.sigmoid(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=torch.tensor(5.0))
    return entropy + 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)


def train(
    module: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], loss: nn.Module | object, steps: int, name: str
) -> None:
    """AdamW under a one-cycle rate; prints the running loss ten times."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    module.train()
    running, start = 0.0, time.perf_counter()
    for step in range(1, steps + 1):
        x, y = next(batches)
        value = loss(module(x), y)  # type: ignore[operator]
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running += float(value.detach())
        if step % (steps // 10) == 0:
            print(
                f"{name} {step:4d}/{steps}  loss {running / (steps // 10):.4f}  {time.perf_counter() - start:4.0f} s",
                flush=True,
            )
            running = 0.0
    module.eval()


@dataclass(frozen=True)
class Samples:
    """Crops with room to shift, and what they show."""

    hu: npt.NDArray[np.int16]
    label: npt.NDArray[np.bool_]

    @classmethod
    def around(cls, chest: Chest, xyz: npt.ArrayLike, label: Sequence[bool]) -> Samples:
        i, r, c = (n + m for n, m in zip(CARD.input.crop_irc, MARGIN_IRC, strict=True))
        centres = chest.volume.grid.irc(np.asarray(xyz, float).reshape(-1, 3))
        cut = crops(chest.volume.hu, centres, (i, r, c), (1,), CARD.input.window_hu[0])
        return cls(cut[:, 0], np.asarray(label, bool))

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        return cls(np.concatenate([p.hu for p in parts]), np.concatenate([p.label for p in parts]))

    def batches(self, batch: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless balanced batches, mirrored, shifted, with noise."""
        classes = [np.flatnonzero(~self.label), np.flatnonzero(self.label)]
        while True:
            chosen = np.concatenate([rng.choice(rows, batch // 2) for rows in classes])
            start = [rng.integers(0, m + 1, len(chosen)) for m in MARGIN_IRC]
            hu = np.stack(
                [
                    self.hu[k][tuple(slice(s[n], s[n] + size) for s, size in zip(start, CARD.input.crop_irc, strict=True))]
                    for n, k in enumerate(chosen)
                ]
            ).astype(np.float32)
            x = torch.from_numpy(hu)
            x = x.flip([axis for axis in (1, 2, 3) if rng.random() < 0.5]).clamp(*CARD.input.window_hu)
            yield (x + torch.randn_like(x) * 15)[:, None], torch.from_numpy(self.label[chosen].astype(np.int64))


def is_hit(candidate: Candidate, nodules: Sequence[PhantomNodule]) -> bool:
    """LUNA16's rule: the centre lies within the nodule's radius."""
    return any(math.dist(candidate.centre_xyz_mm, n.centre_xyz_mm) <= n.diameter_mm / 2 for n in nodules)


def nodule_samples(chests: Sequence[Chest], engine: object) -> Samples:
    """Every candidate of the segmentation at a low threshold, and every true centre."""
    parts = []
    for chest in chests:
        heatmap = segment(chest.volume, chest.lungs, CARD, engine)  # type: ignore[arg-type]
        found = group(heatmap, chest.volume, chest.lungs, CARD, 0.1)
        near = [any(math.dist(c.centre_xyz_mm, n.centre_xyz_mm) <= n.diameter_mm for n in chest.nodules) for c in found]
        hits = [is_hit(c, chest.nodules) for c in found]
        sure = [c for c, h, n in zip(found, hits, near, strict=True) if h or not n]
        parts.append(Samples.around(chest, [c.centre_xyz_mm for c in sure], [is_hit(c, chest.nodules) for c in sure]))
        parts.append(Samples.around(chest, [n.centre_xyz_mm for n in chest.nodules], [True] * len(chest.nodules)))
    return Samples.joined(parts)


def malignancy_samples(chests: Sequence[Chest]) -> Samples:
    rule = RULES[CARD.label_rule]
    return Samples.joined(
        [
            Samples.around(c, [n.centre_xyz_mm for n in c.nodules], [bool(rule.label(n.ratings)) for n in c.nodules])
            for c in chests
            if c.nodules
        ]
    )


def arrays(module: nn.Module) -> weights.Tensors:
    state = {name: value.detach().numpy().astype(np.float32) for name, value in module.state_dict().items()}
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def judge(chests: Sequence[Chest], networks: dict[str, weights.Tensors]) -> dict[str, object]:
    """Counts on chests kept aside, end to end, at the card's thresholds."""
    from lungscan.engines import open_engine

    assert CARD.malignancy is not None
    seg = open_engine(graph.segmentation(CARD, networks["segmentation"]), precision="fp32")
    nodule = open_engine(graph.classifier("nodule", CARD, CARD.nodule, networks["nodule"]), precision="fp32")
    malignancy = open_engine(graph.classifier("malignancy", CARD, CARD.malignancy, networks["malignancy"]), precision="fp32")
    found = total = false = right = judged = 0
    errors: list[float] = []
    for chest in chests:
        t = CARD.thresholds
        candidates = group(segment(chest.volume, chest.lungs, CARD, seg), chest.volume, chest.lungs, CARD, t.segmentation)
        kept = [
            c
            for c in classify(candidates, chest.volume, CARD, nodule, malignancy, t.nodule)
            if (c.p_nodule or 0) >= t.nodule
        ]
        total += len(chest.nodules)
        false += sum(not is_hit(c, chest.nodules) for c in kept)
        for truth in chest.nodules:
            hits = [c for c in kept if is_hit(c, [truth])]
            found += bool(hits)
            if hits:
                best = max(hits, key=lambda c: c.voxels)
                errors.append(abs(best.diameter_mm / truth.diameter_mm - 1))
                judged += 1
                right += ((best.p_malignant or 0) >= t.malignancy) == bool(RULES[CARD.label_rule].label(truth.ratings))
    return {
        "scans": f"{len(chests)} phantoms kept aside",
        "nodules_found": f"{found} of {total}",
        "false_positives": f"{false} in {len(chests)} scans",
        "malignancy_right": f"{right} of {judged}",
        "diameter_error_median": round(float(np.median(errors)), 3) if errors else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the weights file to write")
    output: Path = parser.parse_args().output
    from lungscan.engines import open_engine

    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    start = time.perf_counter()
    with ProcessPoolExecutor() as pool:
        chests = list(pool.map(prepare, range(TRAINING + KEPT_ASIDE)))
    known, aside = chests[:TRAINING], chests[TRAINING:]
    print(
        f"{len(chests)} chests, {sum(len(c.nodules) for c in chests)} nodules  {time.perf_counter() - start:.0f} s",
        flush=True,
    )

    unet = UNet(2 * CARD.input.context_slices + 1, CARD.segmentation.depth, CARD.segmentation.width)
    train(unet, stacks(known, 16, rng), segmentation_loss, SEGMENTATION_STEPS, "segmentation")
    engine = open_engine(graph.segmentation(CARD, arrays(unet)), precision="fp32")
    samples = nodule_samples(known, engine)
    print(f"{samples.label.sum()} crops of nodules, {(~samples.label).sum()} of others", flush=True)
    nodule = Cnn3d(CARD.input.crop_irc, CARD.nodule.widths)
    entropy = nn.CrossEntropyLoss(label_smoothing=0.02)
    train(nodule, samples.batches(32, rng), entropy, NODULE_STEPS, "nodule")
    malignancy = Cnn3d(CARD.input.crop_irc, CARD.nodule.widths)
    malignancy.load_state_dict(nodule.state_dict())
    train(malignancy, malignancy_samples(known).batches(32, rng), entropy, MALIGNANCY_STEPS, "malignancy")

    networks = {"segmentation": arrays(unet), "nodule": arrays(nodule), "malignancy": arrays(malignancy)}
    measured = judge(aside, networks)
    print(measured)
    weights.save(output, _card(measured), networks)


def _card(measured: dict[str, object]) -> Card:
    from dataclasses import replace

    return replace(
        CARD,
        about={
            "warning": "These weights learned on synthetic chests alone: a demonstration that says nothing of a real scan.",
            "intended_use": "Demonstration and tests.",
            "training": f"{TRAINING} phantoms of seed {SEED}, no real scan.",
            "split": f"Chests 0 to {TRAINING - 1} trained, {TRAINING} to {TRAINING + KEPT_ASIDE - 1} judged.",
            "measured": measured,
            "calibration": "None: a probability is a score, not a share.",
            "licence": "Apache-2.0",
            "known_failures": ["Any real scan: vessels, scars and hila look otherwise than the phantom's."],
            "command": "python -m lungscan.training.first -o lungscan/weights/phantom.safetensors",
        },
    )


if __name__ == "__main__":
    main()
