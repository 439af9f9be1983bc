"""The kernels that are timed on a GPU, and their rivals there, by the GPU's code run on a CPU; prints what is wrong as JSON.

In a process of its own: Triton must be told before it is imported that it is to be interpreted.
"""

from __future__ import annotations

import json
import os
from importlib import import_module

os.environ["TRITON_INTERPRET"] = "1"

from tests.device import fake_cupy

fake_cupy.install()

import numpy as np  # noqa: E402

from benchmarks import rivals  # noqa: E402
from lungscan.benchmark.kernels import components, inputs, kernels  # noqa: E402

WINDOW_HU = (-1000, 400)
SHAPE = (32, 48, 48)


def main() -> None:
    hu = np.random.default_rng(0).integers(-1024, 1500, SHAPE).astype(np.int16)
    given = inputs(hu, import_module("cupy"), crops=1)
    told: dict[str, bool] = {}
    works = {work.name: work for work in kernels(given, WINDOW_HU, "fp16")}
    works["component table"] = components(given, WINDOW_HU, rows=512, voxels=1 << 13)
    for name, work in works.items():
        told[name] = work.right(work.run())
        for rival, (run, right) in rivals.of(name, given, WINDOW_HU, np.float16).items():
            told[f"{name} by {rival}"] = right(run())
    print(json.dumps(told))


if __name__ == "__main__":
    main()
