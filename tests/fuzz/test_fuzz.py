"""No damage to a file makes reading raise anything but a refusal, hang, crash or grow without bound."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lungscan.readers import read

if os.name != "posix":
    pytest.skip("the fuzzer bounds memory by setrlimit", allow_module_level=True)

from tests.fuzz.mutate import mutated
from tests.fuzz.run import fuzz
from tests.fuzz.seeds import seeds
from tests.fuzz.worker import damaged, ending

CASES = 5000

CRASHERS: tuple[int, ...] = ()
"""Cases that once ended otherwise than by an answer or a refusal."""


def test_seeds_are_good_scans(tmp_path: Path) -> None:
    for seed in seeds(tmp_path):
        assert read(seed.scan).hu.shape == (16, 160, 150), seed.name


def test_a_case_is_the_same_every_time() -> None:
    whole = bytes(range(256)) * 20
    assert mutated(np.random.default_rng(7), whole, 500) == mutated(np.random.default_rng(7), whole, 500) != whole


@pytest.mark.parametrize("case", CRASHERS)
def test_what_once_went_wrong(tmp_path: Path, case: int) -> None:
    made = seeds(tmp_path)
    seed = made[case % len(made)]
    with damaged(seed, seed.target.read_bytes(), case) as path:
        assert ending(path) in ("ok", "warning", "refused")


@pytest.mark.slow
def test_thousands_of_damaged_scans() -> None:
    found = fuzz(CASES)
    assert found.wrong == []
    assert sum(found.endings.values()) == CASES
    assert found.slowest_s < 10
