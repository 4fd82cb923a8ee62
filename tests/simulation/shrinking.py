"""From a scenario that fails to one that fails with less: delta debugging over faults, commands and complaints."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tests.simulation.judging import Verdict, judge
from tests.simulation.scenario import Scenario

T = TypeVar("T")
RUNS_MAX = 200


def shortest(scenario: Scenario, *, fails_like: Verdict) -> Scenario:
    """The scenario with as few faults, commands and complaints as still break the same invariant."""
    broken = {v.invariant for v in fails_like.violations}
    runs = 0

    def fails(candidate: Scenario) -> bool:
        nonlocal runs
        runs += 1
        return runs <= RUNS_MAX and bool(broken & {v.invariant for v in judge(candidate).violations})

    for name in ("faults", "asked", "sent"):

        def with_items(items: Sequence[Any], name: str = name, scenario: Scenario = scenario) -> Scenario:
            return replace(scenario, **{name: list(items)})

        scenario = with_items(_fewest(getattr(scenario, name), lambda items, make=with_items: fails(make(items))))
    return scenario


def _fewest(items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """`ddmin` of Zeller and Hildebrandt, by complements alone."""
    parts = 2
    while items:
        size = max(1, len(items) // parts)
        for begin in range(0, len(items), size):
            fewer = items[:begin] + items[begin + size :]
            if fails(fewer):
                items, parts = fewer, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(items), parts * 2)
    return items
