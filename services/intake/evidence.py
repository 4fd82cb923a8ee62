"""What may be kept as evidence: photos, recordings and PDF, told by their content. Pure.

A name or a declared type proves nothing, so the bytes decide; and a file that reads as two formats, or as a picture
that unpacks to gigabytes, is refused before anybody opens it.
"""

import re
import struct
from typing import Final

import filetype

from services.intake.problems import Problem, problem

ALLOWED: Final = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "image/heic": "HEIC",
    "application/pdf": "PDF",
    "audio/mpeg": "MP3",
    "audio/mp4": "M4A",
    "audio/aac": "AAC",
    "audio/ogg": "Ogg",
    "audio/x-wav": "WAV",
    "audio/amr": "AMR",
}
PIXELS_MAX: Final = 100_000_000
_SAME: Final = {
    "audio/mp3": "audio/mpeg",
    "audio/wav": "audio/x-wav",
    "image/jpg": "image/jpeg",
    "audio/m4a": "audio/mp4",
}
_UNDECLARED: Final = ("", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")
_MARKUP: Final = re.compile(rb"<(?:script|html|\?php|!doctype html)[\s>]", re.IGNORECASE)
_ZIP_END, _ZIP_ENTRY, _PDF = b"PK\x05\x06", b"PK\x01\x02", b"%PDF-"
_SEGMENTS_MAX: Final = 2000
_ZIP_TAIL: Final = 65_557
"""The end record of an archive with the longest comment."""


def inspect(content: bytes, *, declared: str, bytes_max: int) -> tuple[str | None, list[Problem]]:
    """The media type of a file, and everything that is wrong with it.

    Args:
        content: the whole file.
        declared: the media type that the caller said, or nothing.
        bytes_max: how long it may be.
    """
    if not content:
        return None, [problem("file", "file_empty")]
    problems = []
    if len(content) > bytes_max:
        problems.append(problem("file", "file_too_big", value=len(content), details={"max_bytes": bytes_max}))
    found = filetype.guess_mime(content)
    if found not in ALLOWED:
        allowed = ", ".join(ALLOWED.values())
        return None, [*problems, problem("file", "file_type_unknown", value=found, details={"allowed": allowed})]
    declared = declared.partition(";")[0].strip().lower()
    declared = _SAME.get(declared, declared)
    if declared not in (*_UNDECLARED, found) and not _container(declared, found):
        problems.append(problem("file", "file_type_differs", value=declared, details={"found": found}))
    if _hides_another(content, found):
        problems.append(problem("file", "file_two_in_one"))
    if pixels(content, found) > PIXELS_MAX:
        problems.append(problem("file", "picture_too_big", details={"pixels_max": PIXELS_MAX}))
    return found, problems


def pixels(content: bytes, media_type: str) -> int:
    """How many pixels a picture unpacks to, read from its header; 0 where that is not told."""
    if media_type == "image/png" and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
    elif media_type == "image/gif" and len(content) >= 10:
        width, height = struct.unpack("<HH", content[6:10])
    elif media_type == "image/webp" and content[12:16] == b"VP8X" and len(content) >= 30:
        width = int.from_bytes(content[24:27], "little") + 1
        height = int.from_bytes(content[27:30], "little") + 1
    elif media_type == "image/jpeg":
        width, height = _jpeg_size(content)
    else:
        return 0
    return int(width * height)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(_SEGMENTS_MAX):
        if at + 9 > len(content) or content[at] != 0xFF:
            return 0, 0
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + int(struct.unpack(">H", content[at + 2 : at + 4])[0])
    # No camera writes so many before the size: nobody should have to find out what a viewer makes of it.
    return PIXELS_MAX, 2


def _hides_another(content: bytes, media_type: str) -> bool:
    if _ZIP_END in content[-_ZIP_TAIL:] and _ZIP_ENTRY in content:
        return True
    if media_type == "application/pdf":
        return not content.startswith(_PDF)
    return _PDF in content[:1024] or _MARKUP.search(content) is not None


def _container(declared: str, found: str) -> bool:
    # Recorders of one kind of file name it differently; the family is what counts.
    return declared.startswith("audio/") and found.startswith("audio/")
