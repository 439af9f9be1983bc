"""Runs the kernels under g++'s sanitizers on every heatmap: `LD_PRELOAD=libasan.so python -m tests.kernels.shim.sanitized`.

NumPy's arrays come from malloc, which the preloaded sanitizer fences, so a kernel that passes their ends is caught.
"""

from __future__ import annotations

import sys

from tests.kernels.shim import shim

sys.modules["cupy"] = shim.cupy(shim.SANITIZERS)  # type: ignore[assignment]

from lungscan.kernels.component_table import _on_gpu, component_table, plain_labels  # noqa: E402

from tests.kernels.heatmaps import CONNECTIVITIES, LEVEL, WINDOW_HU, assert_same, case, masks  # noqa: E402

if __name__ == "__main__":
    tables = 0
    for mask in masks().values():
        made = case(mask)
        for connectivity in CONNECTIVITIES:
            plain_labels(made.probability, LEVEL, connectivity)
            for erode in (False, True):
                expected = component_table(
                    made.probability,
                    LEVEL,
                    made.hu,
                    WINDOW_HU,
                    connectivity,
                    outline=0.7,
                    inside=made.inside,
                    taken=made.taken,
                    erode=erode,
                )
                given = (made.probability, LEVEL, made.hu, WINDOW_HU, connectivity, 0.7, made.inside, made.taken, erode)
                exact = (max(expected.count, 1), max(expected.foreground, 1))  # not a byte to spare
                assert_same(_on_gpu(*given, *exact), expected)
                _on_gpu(*given, *(n // 2 + 1 for n in exact))
                tables += 1
    print(tables, "tables")
