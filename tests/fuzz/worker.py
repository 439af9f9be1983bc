"""One process of the fuzzer: `python -m tests.fuzz.worker FOLDER FIRST LAST BYTES` reads damaged scans, one line a case.

Case n is damaged by a generator seeded with n, so that any case can be made again by itself. A line is the case, its seed
file's name, how it ended (`ok`, `warning`, `refused`, or what else was raised), and the seconds of work it took.
"""

from __future__ import annotations

import resource
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lungscan.errors import LungscanError
from lungscan.readers import apart, read
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import Seed, seeds


@contextmanager
def damaged(seed: Seed, whole: bytes, case: int) -> Iterator[Path]:
    """The scan with one file damaged; whole again afterwards."""
    seed.target.write_bytes(mutated(np.random.default_rng(case), whole, seed.reach))
    try:
        yield seed.scan
    finally:
        seed.target.write_bytes(whole)


def ending(path: Path) -> str:
    """How reading ends. Anything but a volume or a refusal is told with where it came from."""
    try:
        return "warning" if read(path).notices else "ok"
    except LungscanError as error:
        return "refused" if str(error) else f"no sentence: {error!r}"
    except BaseException:
        return "raised: " + traceback.format_exc().replace("\n", " | ")


def main(folder: Path, first: int, last: int, most_bytes: int) -> None:
    warnings.simplefilter("error")
    made = seeds(folder)
    wholes = [seed.target.read_bytes() for seed in made]
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    with apart.at_hand():
        for case in range(first, last):
            seed, whole = made[case % len(made)], wholes[case % len(made)]
            with damaged(seed, whole, case) as path:
                start = time.process_time()
                end = ending(path)
            print(case, seed.name, f"{time.process_time() - start:.3f}", end, sep="\t", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
