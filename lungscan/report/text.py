"""Text from files, made harmless before it is shown: no control or direction characters, no great length."""

from __future__ import annotations

import unicodedata

LONGEST = 200


def harmless(text: str, longest: int = LONGEST) -> str:
    """Control, format (bidirectional ones among them) and surrogate characters become a middle dot."""
    return "".join("·" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") else c for c in text[:longest])
