"""What is left of the facts on `sla-event` when those that were taken back are gone."""

from collections.abc import Iterable

from tests.simulation.history import Recorded


def standing(facts: Iterable[Recorded]) -> list[Recorded]:
    """Facts of one ticket that hold at the end, in the order in which they were told.

    A `corrected` takes back the fact that it names; it may itself be taken back, and then that fact holds again. So
    the last word is read first.
    """
    told = list(facts)
    void: set[str] = set()
    for fact in reversed(told):
        if fact.verb == "corrected" and fact.id not in void:
            void.add(fact.payload["corrects"])
    return [fact for fact in told if fact.id not in void]
