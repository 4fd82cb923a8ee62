"""Messages set aside: what goes to `<topic>-dlq`, and how it is listed and replayed.

A dead letter is the original record, key, value and headers untouched, with headers `dl_*` added that say why it is
there and where it came from. The value stays what it was, so personal data in it stays sealed; of one that is too large
(see `_cut`) as much as fits.
"""

import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from schemas.codec import Headers
from services.runtime.producing import MESSAGE_BYTES_MAX, Record, size_of

SUFFIX: Final = "-dlq"
_PREFIX: Final = "dl_"
_TEXT_BYTES_MAX: Final = 4000
_FRAMES_MAX: Final = 6
_LENGTH_BYTES: Final = 10
"""That a length takes on the wire, at most."""


class Why(StrEnum):
    """Kinds of reason, for counting."""

    UNDECODABLE = "undecodable"
    REFUSED = "refused"
    FAILED = "failed"


class Original(NamedTuple):
    """A record as it was consumed."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def dead_letter(
    original: Original, *, consumer: str, why: Why, reason: str, error: BaseException | None, at: datetime
) -> Record:
    """The record for the dead-letter topic.

    Args:
        original: what could not be processed.
        consumer: group of the reader that gave it up; others of the same topic may well have processed it.
        why: kind of reason.
        reason: a sentence without personal data.
        error: what the handler raised; its kind and place are kept, not its text, which may quote a customer.
        at: when it was given up.
    """
    added = {
        "dl_consumer": consumer,
        "dl_why": why.value,
        "dl_reason": reason,
        "dl_topic": original.topic,
        "dl_partition": str(original.partition),
        "dl_offset": str(original.offset),
        "dl_at": at.astimezone(UTC).isoformat(),
    }
    if error is not None:
        added["dl_exception"] = place_of(error)
    kept = [(name, value) for name, value in original.headers if not name.startswith(_PREFIX)]
    letter = Record(
        topic=original.topic + SUFFIX,
        key=original.key,
        value=original.value,
        headers=kept + [(name, text.encode()[:_TEXT_BYTES_MAX]) for name, text in added.items()],
    )
    return letter if size_of(letter) <= MESSAGE_BYTES_MAX else _cut(letter)


def _cut(letter: Record) -> Record:
    """As much of it as fits: what was compressed may be larger than any message of ours. Where all is, it says."""
    value = letter.value or b""
    headers = [(name, text) for name, text in letter.headers if name.startswith(_PREFIX)]
    headers.append(("dl_cut", str(len(value)).encode()))
    bare = Record(topic=letter.topic, key=(letter.key or b"")[:_TEXT_BYTES_MAX], value=b"", headers=headers)
    return bare._replace(value=value[: MESSAGE_BYTES_MAX - size_of(bare) - _LENGTH_BYTES])


def replayed(letter: Original, *, at: datetime) -> Record:
    """The original record again, for its topic, with the header `dl_replayed` added.

    Raises:
        ValueError: `letter` does not say which topic it came from.
    """
    topic = reasons(letter.headers).get("topic")
    if not topic:
        raise ValueError(
            f"{letter.topic}/{letter.partition}/{letter.offset} has no header dl_topic: it is no dead letter of Amends"
        )
    if "cut" in (told := reasons(letter.headers)):
        raise ValueError(
            f"{letter.topic}/{letter.partition}/{letter.offset} was too large to be kept whole: all of it is at"
            f" {topic}/{told['partition']}/{told['offset']} for as long as that topic keeps it"
        )
    kept = [(name, value) for name, value in letter.headers if not name.startswith(_PREFIX)]
    return Record(
        topic=topic,
        key=letter.key,
        value=letter.value,
        headers=[*kept, ("dl_replayed", at.astimezone(UTC).isoformat().encode())],
    )


def reasons(headers: Iterable[tuple[str, bytes | None]]) -> Mapping[str, str]:
    """What the headers `dl_*` say, by name without the prefix."""
    return {
        name.removeprefix(_PREFIX): (value or b"").decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(_PREFIX)
    }


def place_of(error: BaseException) -> str:
    """Kind of an exception and the innermost places it passed, e.g. `KeyError at ticket.py:41 in fold < ...`."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_MAX:]
    way = " < ".join(f"{Path(f.filename).name}:{f.lineno} in {f.name}" for f in reversed(frames))
    return f"{type(error).__name__} at {way}" if way else type(error).__name__
