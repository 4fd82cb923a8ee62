"""A few hundred seeds of the simulation, as part of every test run; `make simulate` runs ten thousand."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.judging import judge
from tests.simulation.scenario import Fault, Scenario, scenario
from tests.simulation.shrinking import shortest
from tests.simulation.world import World

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_missed_whatever_goes_wrong():
    """The first 500 seeds hold all invariants."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", "500", "--failures", "2"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "500 seeds" in run.stdout


def test_a_seed_is_the_same_every_time():
    """Everything that a run leaves behind follows from its seed."""
    made = _with_faults(31)
    first, second = judge(made).history, judge(made).history
    assert first.records == second.records
    assert first.arrived == second.arrived
    assert first.documents == second.documents


def test_a_failure_is_shown_with_the_faults_that_matter(monkeypatch):
    """Of many faults those remain without which it would not fail."""
    inject = World._inject

    def forgetful(world: World, fault: Fault) -> None:
        inject(world, fault)
        if fault.what == "flush":
            # Stands for a fault of the product: a flush of Redis takes the record of what was accepted with it.
            world.answers.clear()
            world.broker.log.arrived.clear()
            world.broker.log.records.clear()

    monkeypatch.setattr(World, "_inject", forgetful)
    made = _with_faults(32)
    made = replace(made, asked=[], faults=[*made.faults, Fault(9.9, "flush", "redis")])
    verdict = judge(made)
    assert verdict.violations
    assert [fault.what for fault in shortest(made, fails_like=verdict).faults] == ["flush"]


def _with_faults(seed: int) -> Scenario:
    """The first scenario from there on that has any."""
    return next(made for made in map(scenario, range(seed, seed + 20)) if made.faults)
