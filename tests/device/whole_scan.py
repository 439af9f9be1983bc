"""A whole scan by the GPU's code on a CPU, beside the same scan by the CPU's; prints both as JSON. In a process of its own:
Triton must be told before it is imported that it is to be interpreted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

from tests.device import fake_cupy

COUNTS = fake_cupy.install()

import numpy as np  # noqa: E402
from lungscan.engines import shared_stream  # noqa: E402

from lungscan.phantom import make_chest  # noqa: E402
from lungscan.pipeline import Networks, examine_volume  # noqa: E402
from lungscan.report.json import to_json  # noqa: E402
from lungscan.settings import Settings  # noqa: E402
from lungscan.stages import group  # noqa: E402
from lungscan.weights.card import Calibration, GroupingCard  # noqa: E402
from tests.support import small_card  # noqa: E402

shared_stream.shared_stream = nullcontext  # all streams are one here
group.ROOM, group.VOXELS = 128, 1 << 16  # the interpreter is slow


VOLUME = make_chest(7, spacing_irc_mm=(8.0, 6.0, 6.0)).volume


@dataclass(frozen=True)
class Rule:
    """Stands for a network: the denser, the likelier."""

    device: str
    name: str = "rule"
    version: str = "1"
    precision: str = "fp16"

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            there = isinstance(batch, fake_cupy.ndarray)
            hu = np.asarray(batch.held if there else batch, np.float32)
            seen = hu[:, hu.shape[1] // 2] if hu.ndim == 4 else hu[:, 0, 3:-3, 3:-3, 3:-3].mean(axis=(1, 2, 3))
            p = (1 / (1 + np.exp(-(seen + 300) / 80))).astype(np.float32)
            yield fake_cupy.ndarray(p) if there else p


def scanned(device: str, settings: Settings, spacing: tuple[float, float, float] | None, minimum_mm3: float) -> Any:
    card = replace(
        small_card(),
        grouping=GroupingCard("none", 26, minimum_mm3, 0.6),
        nodule_calibration=Calibration(1.0, 0.5, 0.25, 0.1),
    )
    card = replace(card, input=replace(card.input, spacing_irc_mm=spacing, crop_scales=(1, 2), crop_border="repeat"))
    rule = Rule(device)
    networks = Networks(SimpleNamespace(card=card, sha256=""), rule, rule, rule)  # type: ignore[arg-type]
    fake_cupy.counts.update(dict.fromkeys(COUNTS, 0))
    examined = examine_volume(VOLUME, networks, settings)
    counts = dict(COUNTS)
    cores = {str(k): v.tolist() for k, v in examined.cores.items()}
    report = json.loads(to_json(examined.report, all_candidates=True))
    return {"counts": counts, "cores": cores, "heatmap": float(examined.heatmap.values.sum()), "report": report}


def main() -> None:
    cases = {
        "native": (Settings(), None, 30.0),
        "lower": (Settings(threshold_segmentation=0.2), None, 300.0),
        "resampled": (Settings(), (8.0, 5.0, 5.0), 30.0),
    }
    print(json.dumps({name: {d: scanned(d, *case) for d in ("cpu", "cuda")} for name, case in cases.items()}))


if __name__ == "__main__":
    main()
