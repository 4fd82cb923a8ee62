"""A text as the segments of a short message. Pure.

Alphabet and escapes: 3GPP TS 23.038 section 6.2.1. Header of a part: 3GPP TS 23.040 section 9.2.3.24.1.
"""

import re
from dataclasses import dataclass
from typing import Final

GSM_7BIT: Final = 0
UCS2: Final = 8
"""`data_coding` of SMPP 3.4 section 5.2.19."""

HAS_HEADER: Final = 0x40
"""`esm_class` of a segment that begins with a user data header."""

_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = dict(zip("\f^{}\\[~]|€", "\x0a\x14\x28\x29\x2f\x3c\x3d\x3e\x40\x65", strict=True))
_CODES: Final = str.maketrans(
    {c: chr(code) for code, c in enumerate(_ALPHABET) if c != "\x1b"} | {c: f"\x1b{x}" for c, x in _EXTENSION.items()},
)
"""Each character as its septet, or as the escape and a second one."""
_IN_ALPHABET: Final = re.compile("[" + re.escape(_ALPHABET.replace("\x1b", "") + "".join(_EXTENSION)) + "]*")
_ESCAPE: Final = 0x1B
_HIGH_SURROGATE: Final = 0xD8
_SINGLE: Final = {GSM_7BIT: 160, UCS2: 140}
_PART: Final = {GSM_7BIT: 153, UCS2: 134}
"""Octets of text; a septet counts as one, because SMPP carries GSM text unpacked."""
PARTS_MAX: Final = 255

# What editors like to write and the alphabet lacks, so that one curly quote does not halve a text's room.
_PLAIN: Final = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " ", "\r": None},
)


class TextTooLong(ValueError):  # noqa: N818 - said of the text
    """More than 255 segments."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What goes into one `submit_sm`."""

    short_message: bytes
    data_coding: int
    esm_class: int = 0


def segments(text: str, *, reference: int) -> list[Segment]:
    r"""Split a text, in GSM 03.38 when every character is in it, else in UCS-2 (UTF-16BE).

    Args:
        text: any characters; line ends as `\n`.
        reference: 0..255, the same in every part of one text and unlike the last one's to that number.

    An escape and its character, and the halves of a surrogate pair, stay in one part.

    Raises:
        TextTooLong: it has no room in 255 parts.
    """
    plain = text.translate(_PLAIN)
    if _IN_ALPHABET.fullmatch(plain):
        coding, octets = GSM_7BIT, plain.translate(_CODES).encode("latin-1")
    else:
        # A lone surrogate is no character: it is shown as a question mark.
        coding, octets = UCS2, text.replace("\r", "").encode("utf-16-be", "replace")
    if len(octets) <= _SINGLE[coding]:
        return [Segment(octets, coding)]
    bodies = _packed(octets, _PART[coding], coding)
    if len(bodies) > PARTS_MAX:
        raise TextTooLong(f"{len(bodies)} segments; at most {PARTS_MAX} can be told apart")
    return [
        Segment(bytes((5, 0, 3, reference, len(bodies), number)) + body, coding, HAS_HEADER)
        for number, body in enumerate(bodies, start=1)
    ]


def _packed(octets: bytes, room: int, coding: int) -> list[bytes]:
    bodies = []
    while octets:
        end = min(room, len(octets))
        if end < len(octets):
            if coding == GSM_7BIT and octets[end - 1] == _ESCAPE:
                end -= 1
            elif coding == UCS2 and octets[end - 2] & 0xFC == _HIGH_SURROGATE:
                end -= 2
        bodies.append(octets[:end])
        octets = octets[end:]
    return bodies
