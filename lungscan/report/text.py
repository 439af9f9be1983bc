"""Text from files, made harmless before it is shown: one line, no control or direction characters, no great length."""

from __future__ import annotations

import unicodedata

LONGEST = 200

_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode's control, format (bidirectional ones among them), surrogate and private characters, and its ends of lines."""


def harmless(text: str, longest: int = LONGEST) -> str:
    """What could act on a terminal, forge a line or hide becomes a middle dot."""
    return "".join("·" if unicodedata.category(c) in _HARMFUL else c for c in text[:longest])
