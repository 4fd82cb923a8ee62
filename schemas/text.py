"""What a reader sees of a text."""

import unicodedata
from typing import Final

_SEEN: Final = frozenset("LNPS")
"""First letters of Unicode's general categories: letters, numbers, punctuation, symbols."""
_FILLERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Blank though of those categories: fillers of Hangul (default ignorable, UAX #44) and the empty Braille cell."""


def is_seen(text: str) -> bool:
    """Whether anything of it can be read: white space and characters without a shape say nothing."""
    return any(unicodedata.category(c)[0] in _SEEN and c not in _FILLERS for c in text)


def seen(text: str) -> str:
    """The text, or nothing when nothing of it can be read."""
    return text if is_seen(text) else ""
