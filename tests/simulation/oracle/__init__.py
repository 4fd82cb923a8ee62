"""The judge of a simulated run: what must hold of it, told from outside by what it left behind.

It shares no code with services or schemas and reads bytes and documents by itself, so that a fault of theirs is not a
fault of the judge. One module for each of the invariants in ARCHITECTURE.md; the sixth, that Redis may vanish, is
broken when another one is.
"""

from collections.abc import Iterator

from tests.simulation.history import History
from tests.simulation.oracle import accepted, dead_letters, deadlines, once, privacy, sequences
from tests.simulation.oracle.reading import Reading
from tests.simulation.oracle.timeline import timeline
from tests.simulation.oracle.violation import Violation

__all__ = ["Violation", "timeline", "violations"]


def violations(history: History) -> list[Violation]:
    """Everything that must not be, sorted by invariant."""
    reading = Reading(history)
    return sorted(set(_found(reading)))


def _found(reading: Reading) -> Iterator[Violation]:
    if not reading.history.settled:
        yield Violation(0, "the run", "did not come to rest after the faults had ended")
    for module in (accepted, once, sequences, deadlines, dead_letters, privacy):
        yield from module.check(reading)
