"""What the reference finds in a coarse phantom: PyTorch on a CPU is slow, so it is asked once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lungscan import weights
from lungscan.parity import gate
from lungscan.phantom import make_chest
from lungscan.pipeline import Examination, examine_volume
from lungscan.settings import Settings
from lungscan.volume import Volume


@pytest.fixture(scope="session")
def coarse() -> Volume:
    """The part of a phantom's lungs that holds its larger nodules."""
    whole = make_chest(7, spacing_irc_mm=(4.0, 1.4, 1.4)).volume
    rows, columns = whole.grid.shape[1:]
    part = ((22, 53), (0, rows), (0, columns))
    return replace(whole, hu=whole.hu[slice(*part[0])], grid=whole.grid.part(part))


@pytest.fixture(scope="session")
def expected(coarse: Volume) -> Examination:
    return examine_volume(coarse, gate.reference(weights.load(weights.shipped())), Settings())
