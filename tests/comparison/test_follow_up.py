"""From files to a comparison, with the shipped networks on a phantom."""

from __future__ import annotations

from pathlib import Path

import pytest

from lungscan.comparison.changes import State
from lungscan.errors import InputRefused
from lungscan.follow_up import compare
from lungscan.phantom import make_chest, writers
from lungscan.pipeline import scan
from lungscan.report.json import to_json
from lungscan.settings import Settings


@pytest.mark.slow
def test_the_same_patient_through_a_report_and_another_file(tmp_path: Path) -> None:
    """The voxels are the same, in another format with other axes: nothing is new or gone, and nothing changed."""
    chest = make_chest(7, 0, spacing_irc_mm=(2.5, 1.2, 1.2)).volume
    (tmp_path / "prior").mkdir()
    (tmp_path / "now").mkdir()
    prior = writers.write(chest, tmp_path / "prior", "mhd")
    now = writers.write(writers.orient(chest, "RAS"), tmp_path / "now", "nifti")
    report = scan(prior, Settings(precision="fp32"))
    assert report.nodules
    earlier = tmp_path / "report.json"
    earlier.write_text(to_json(report))

    comparison = compare(earlier, now, Settings(precision="fp32"), months=12)
    assert [c.state for c in comparison.changes] == [State.stable] * len(report.nodules)
    for change in comparison.changes:
        assert change.volume_change == pytest.approx(0, abs=0.02)  # NIfTI's float32 geometry turns a few border voxels
        assert change.mean_change_mm == pytest.approx(0, abs=0.2)
        assert change.apart_mm == pytest.approx(0, abs=0.5)

    earlier.write_text(to_json(report).replace(report.input.sha256, "0" * 64))
    with pytest.raises(InputRefused, match="no longer the scan"):
        compare(earlier, now)
