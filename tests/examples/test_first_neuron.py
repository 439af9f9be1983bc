"""The first neuron, against the figures that a spreadsheet gives for the same steps."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

COSTS = [3519.47, 227.957, 74.384, 24.272, 7.920, 2.584, 0.843, 0.275, 0.090, 0.029]


@pytest.mark.parametrize("way", ["hand", "autograd"])
def test_learns_fahrenheit(way: str) -> None:
    command = [sys.executable, str(ROOT / "examples" / "first_neuron.py"), way]
    *lines, last = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [float(re.search(r"cost +([\d.]+)", line)[1]) for line in lines] == pytest.approx(COSTS, abs=6e-3)
    assert "w 1.146   b  0.399" in lines[0]
    assert last == "w 1.801169   b 31.883127   50 C = 121.9 F"
