"""Seeded damage to bytes: what transmission, careless tools and malice do to a file."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator

NUMBERS = (b"0", b"-1", b"nan", b"inf", b"1e308", b"-1e-308", b"99999999999999999999", b"1,5", b"", b"0x10", b"1_0", b"\xff")
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0", b"\xfe\xff\xff\xff")


def _at(rng: Rng, data: bytearray, reach: int) -> int:
    """A place in the header (the first `reach` bytes), seldom one after it."""
    return int(rng.integers(min(len(data), reach if rng.random() < 0.85 else len(data))))


def flip(rng: Rng, data: bytearray, reach: int) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[_at(rng, data, reach)] ^= 1 << int(rng.integers(8))


def overwrite(rng: Rng, data: bytearray, reach: int) -> None:
    at = _at(rng, data, reach)
    data[at : at + 4] = EXTREMES[rng.integers(len(EXTREMES))][: len(data) - at]


def randomise(rng: Rng, data: bytearray, reach: int) -> None:
    at, count = _at(rng, data, reach), int(rng.integers(1, 40))
    data[at : at + count] = rng.bytes(min(count, len(data) - at))


def cut(rng: Rng, data: bytearray, reach: int) -> None:
    del data[_at(rng, data, reach) :]


def drop(rng: Rng, data: bytearray, reach: int) -> None:
    at = _at(rng, data, reach)
    del data[at : at + int(rng.integers(1, 64))]


def insert(rng: Rng, data: bytearray, reach: int) -> None:
    at = _at(rng, data, reach)
    data[at:at] = rng.bytes(int(rng.integers(1, 64)))


def repeat(rng: Rng, data: bytearray, reach: int) -> None:
    at = _at(rng, data, reach)
    piece = bytes(data[at : at + int(rng.integers(1, 200))])
    data[at:at] = piece * int(rng.integers(1, 20))


def swap(rng: Rng, data: bytearray, reach: int) -> None:
    a, b, n = _at(rng, data, reach), _at(rng, data, reach), int(rng.integers(1, 32))
    n = min(n, len(data) - max(a, b))
    data[a : a + n], data[b : b + n] = data[b : b + n], data[a : a + n]


def renumber(rng: Rng, data: bytearray, reach: int) -> None:
    """Another number in the place of one in text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data[:reach])))
    if found:
        start, end = found[rng.integers(len(found))].span()
        data[start:end] = NUMBERS[rng.integers(len(NUMBERS))]


MUTATIONS: tuple[Callable[[Rng, bytearray, int], None], ...] = (
    *(flip, overwrite, randomise, cut, drop, insert, repeat, swap, renumber),
)


def mutated(rng: Rng, whole: bytes, reach: int) -> bytes:
    """One to three mutations of a file's bytes, most of them in its first `reach`."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        if data:
            MUTATIONS[rng.integers(len(MUTATIONS))](rng, data, reach)
    return bytes(data)
