"""What is left of the facts on `sla-event` when those that were taken back are gone."""

from collections import defaultdict
from collections.abc import Iterable

from tests.simulation.history import Recorded


def standing(facts: Iterable[Recorded]) -> list[Recorded]:
    """Facts of one ticket that hold at the end, corrections left out.

    A `corrected` takes back the fact that it names, unless it is itself taken back. In whichever order they were
    published: a worker that died leaves what it saved for another to publish.
    """
    told = list(facts)
    against: dict[str, list[str]] = defaultdict(list)
    for fact in told:
        if fact.verb == "corrected":
            against[fact.payload["corrects"]].append(fact.id)

    def holds(fact_id: str, seen: frozenset[str] = frozenset()) -> bool:
        others = [c for c in against.get(fact_id, ()) if c not in seen]
        return not any(holds(correction, seen | {fact_id}) for correction in others)

    return [fact for fact in told if fact.verb != "corrected" and (fact.id not in against or holds(fact.id))]
