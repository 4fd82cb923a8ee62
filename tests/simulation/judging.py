"""A scenario, lived and judged."""

import functools
import gc
import sys
from dataclasses import dataclass

from tests.simulation.history import History
from tests.simulation.oracle import Violation, timeline, violations
from tests.simulation.scenario import Scenario, scenario
from tests.simulation.world import live


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a scenario."""

    scenario: Scenario
    history: History
    violations: list[Violation]

    def timeline(self, about: str) -> str:
        """Everything that concerns a ticket or complaint, a line each."""
        return timeline(self.history, about)


def judge(scenario: Scenario) -> Verdict:
    """Live it and look at what came of it."""
    history, world = live(scenario)
    found = violations(history)
    # A process that ends by itself is restarted, as in production, but it is a fault of ours all the same.
    found += [Violation(invariant=5, about="", words=f"a process crashed: {crash}") for crash in world.crashes]
    if not history.settled:
        found.append(Violation(invariant=0, about="", words=f"left to do: {world.unfinished()}"))
    return Verdict(scenario, history, found)


@dataclass(frozen=True, slots=True)
class Brief:
    """A verdict as it goes from one process to another."""

    seed: int
    has_failed: bool
    faults: list[str]
    """Kinds that were injected."""


@functools.cache
def _freeze_what_is_imported() -> None:
    """It stays to the end, and need not be looked through for garbage again and again."""
    gc.freeze()


def be_quiet() -> None:
    """What a dead process of an ended world was about to do fails when it is collected, some seeds later."""
    sys.unraisablehook = lambda _unraisable: None


def brief(seed: int) -> Brief:
    """The verdict on a seed, in short."""
    made = scenario(seed)
    _freeze_what_is_imported()
    return Brief(seed, bool(judge(made).violations), [fault.what for fault in made.faults])
