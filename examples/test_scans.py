"""Your own scans, held to what was found in them before, and timed by pytest-benchmark.

    lungscan batch SCANS -o expected --precision fp32
    pytest examples/test_scans.py --benchmark-autosave

The reports are looked for in `expected`, or in the folder that $EXPECTED names; $LUNGSCAN_WEIGHTS names other weights than
the shipped ones. `docs/how-to/ci-regression.md` tells more; `ci-regression.yml` runs it on GitHub.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

import lungscan

CENTRE_MM = 1.0
PROBABILITY = 0.01
REPORTS = sorted(Path(os.environ.get("EXPECTED", "expected")).glob("*/report.json"))
WEIGHTS = os.environ.get("LUNGSCAN_WEIGHTS")


def test_there_are_reports() -> None:
    assert REPORTS, "no report.json: make them by `lungscan batch SCANS -o expected`"


@pytest.mark.parametrize("file", REPORTS, ids=lambda file: file.parent.name)
def test_the_same_nodules_are_found(file: Path, benchmark: Any) -> None:
    expected = json.loads(file.read_text())
    used, facts = expected["settings"], expected["input"]
    settings = lungscan.Settings(
        weights=Path(WEIGHTS) if WEIGHTS else None,
        series=facts["series_uid"] or None,
        precision=used["precision"],
        lung_gate=used["lung_gate"],
    )
    report = benchmark.pedantic(lungscan.scan, args=(facts["path"], settings), rounds=3)
    assert report.input.sha256 == facts["sha256"], "the scan holds other voxels than before"
    found = list(report.nodules)
    for nodule in expected["nodules"]:
        near = [n for n in found if math.dist(n.centre_xyz_mm, nodule["centre_xyz_mm"]) <= CENTRE_MM]
        assert near, f"lost: {nodule}"
        assert near[0].p_nodule == pytest.approx(nodule["p_nodule"], abs=PROBABILITY)
        assert (near[0].p_malignant or 0.0) == pytest.approx(nodule["p_malignant"] or 0.0, abs=PROBABILITY)
        found.remove(near[0])
    assert not found, f"not there before: {found}"
