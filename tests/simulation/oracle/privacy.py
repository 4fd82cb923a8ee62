"""Invariant 7: what clients said of themselves stands nowhere in the clear."""

from collections.abc import Iterator

import orjson

from tests.simulation.oracle.reading import DEAD_LETTERS, Reading
from tests.simulation.oracle.violation import Violation


def check(reading: Reading) -> Iterator[Violation]:
    """Records, documents and logs."""
    wanted = [text for text in dict.fromkeys(reading.history.personal) if text]
    if not wanted:
        return
    places = list(_places(reading))
    everything = b"\n".join([held for _, held in places])
    for text in wanted:
        sought = text.encode()
        if sought in everything:
            yield from (Violation(7, place, f"holds {text!r} in the clear") for place, held in places if sought in held)


def _places(reading: Reading) -> Iterator[tuple[str, bytes]]:
    """All that is kept, place by place; JSON in it is read, for it may write letters as numbers."""
    for topic, records in reading.topics.items():
        for record in records:
            # Garbage was put there by the simulation, and lies as it was in the dead letters.
            if topic.endswith(DEAD_LETTERS) and _is_garbage(reading, record.named):
                continue
            value = record.value or b""
            if b"\\u" in value and record.payload:
                value = orjson.dumps(record.payload)
            whole = b"\n".join([value, record.key or b"", *[header for _, header in record.headers]])
            yield f"{topic}/{record.partition}/{record.offset}", whole
    for collection, documents in reading.history.documents.items():
        yield collection, orjson.dumps(documents, default=repr)
    yield "logs", "\n".join(reading.history.logs).encode()


def _is_garbage(reading: Reading, named: dict[str, str]) -> bool:
    partition, offset = named.get("dl_partition", ""), named.get("dl_offset", "")
    if not (partition.isdecimal() and offset.isdecimal()):
        return False
    return (named.get("dl_topic", ""), int(partition), int(offset)) in reading.history.poison
