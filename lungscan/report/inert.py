"""Text from files, made harmless before it reaches a terminal."""

from __future__ import annotations

import unicodedata

_ACTIVE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's control, format (bidi overrides, zero width), surrogate, line and paragraph separators."""


def inert(text: str) -> str:
    """One line of `text` without any character that moves a cursor, turns the reading direction or cannot be encoded."""
    return "".join(c for c in " ".join(text.split()) if unicodedata.category(c) not in _ACTIVE)
