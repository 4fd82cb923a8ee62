"""Invariant 5: garbage is set aside with what it is and where it was, and nothing else is."""

from collections import defaultdict
from collections.abc import Iterator

from tests.simulation.history import Place, Recorded
from tests.simulation.oracle.reading import DEAD_LETTERS, TICKET_COMMAND, Reading
from tests.simulation.oracle.violation import Violation


def check(reading: Reading) -> Iterator[Violation]:
    """Every injected record by each reader that gave up another of its topic, and no other."""
    history = reading.history
    originals = {record.place: record for record in history.records}
    by: dict[Place, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    for topic, records in list(reading.topics.items()):
        for letter in records if topic.endswith(DEAD_LETTERS) else ():
            place, consumer = _origin(letter), letter.named.get("dl_consumer", "")
            if place is None or place not in originals or place[0] + DEAD_LETTERS != topic:
                yield Violation(5, "/".join(map(str, letter.place)), f"says it is {place}, where nothing was read")
                continue
            by[place].add(consumer)
            readers[place[0]].add(consumer)
            yield from _letter(reading, letter, originals[place])
    for place in sorted(history.poison):
        # What no reader can read is given up by all readers of its topic; other garbage may concern one of them.
        wanted = readers[place[0]] if place in originals and not originals[place].payload else set()
        if not by[place] or wanted - by[place]:
            words = (
                f"was set aside by {sorted(by[place]) or 'nobody'}, not by {sorted(wanted - by[place]) or 'anybody'}"
            )
            yield Violation(5, "/".join(map(str, place)), words)


def _letter(reading: Reading, letter: Recorded, original: Recorded) -> Iterator[Violation]:
    about, place = "/".join(map(str, letter.place)), original.place
    if not letter.named.get("dl_reason"):
        yield Violation(5, about, "has no reason")
    if (letter.key, letter.value, _own(letter)) != (original.key, original.value, _own(original)):
        yield Violation(5, about, f"is not what was at {place}")
    if place not in reading.history.poison and not _may_be_refused(reading, original, letter):
        words = f"{original.verb or 'record'} at {place} was no garbage: {letter.named.get('dl_reason')}"
        yield Violation(5, about, words)


def _own(record: Recorded) -> list[tuple[str, bytes]]:
    return [header for header in record.headers if not header[0].startswith("dl_")]


def _origin(letter: Recorded) -> Place | None:
    partition, offset = letter.named.get("dl_partition", ""), letter.named.get("dl_offset", "")
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    return (letter.named.get("dl_topic", ""), int(partition), int(offset))


def _may_be_refused(reading: Reading, original: Recorded, letter: Recorded) -> bool:
    """A command for a ticket that was not there yet, or never is."""
    if original.topic != TICKET_COMMAND or letter.named.get("dl_why") != "refused":
        return False
    events = reading.events.get(original.payload.get("ticket_id", ""), [])
    return not any(event.at <= original.at for event in events)
