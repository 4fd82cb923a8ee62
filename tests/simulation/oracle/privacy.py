"""Invariant 7: what clients said of themselves stands nowhere in the clear."""

from collections.abc import Iterator

import orjson

from tests.simulation.oracle.reading import Reading
from tests.simulation.oracle.violation import Violation


def check(reading: Reading) -> Iterator[Violation]:
    """Records, documents and logs."""
    wanted = [text for text in dict.fromkeys(reading.history.personal) if text]
    if not wanted:
        return
    for place, everything in _places(reading):
        for text in wanted:
            if text in everything:
                yield Violation(7, place, f"holds {text!r} in the clear")


def _places(reading: Reading) -> Iterator[tuple[str, str]]:
    """All that is kept, place by place; JSON in it is read, for it may write letters as numbers."""
    for topic, records in reading.topics.items():
        for record in records:
            if record.value and b"\\u" in record.value and record.payload:
                text = orjson.dumps(record.payload).decode()
            else:
                text = (record.value or b"").decode("utf-8", "replace")
            # Garbage was put there by the simulation, and lies as it was in the dead letters.
            if not _is_garbage(reading, record.named):
                yield f"{topic}/{record.partition}/{record.offset}", f"{text} {record.key!r} {record.named}"
    for collection, documents in reading.history.documents.items():
        yield collection, repr(documents)
    yield "logs", "\n".join(reading.history.logs)


def _is_garbage(reading: Reading, named: dict[str, str]) -> bool:
    partition, offset = named.get("dl_partition", ""), named.get("dl_offset", "")
    if not (partition.isdecimal() and offset.isdecimal()):
        return False
    return (named.get("dl_topic", ""), int(partition), int(offset)) in reading.history.poison
