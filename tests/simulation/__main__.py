"""`make simulate`: run many seeds; for one that fails, the shortest list of faults that fails, and what happened.

python -m tests.simulation --seeds 10000          seeds 0 to 9,999 on all processors
python -m tests.simulation --seed 4711            one seed again, with its timeline
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from tests.simulation.judging import Brief, Verdict, be_quiet, brief, judge
from tests.simulation.scenario import Scenario, scenario
from tests.simulation.shrinking import shortest

HASH_SEED: Final = "0"
"""Sets of texts have another order in every process but for this."""
SILENT: Final = "ignore:coroutine:RuntimeWarning"
"""What a process was about to do when it died is never awaited."""


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; gives the exit code: 1 when any seed fails."""
    parser = argparse.ArgumentParser(
        prog="make simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone, shrunk, with its timeline")
    parser.add_argument("--failures", type=int, default=3, help="end after so many failures (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all processors)")
    parser.add_argument("--quick", action="store_true", help="do not look for a shorter list of faults")
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        verdict = judge(scenario(asked.seed))
        _tell(verdict, quick=asked.quick or not verdict.violations)
        return int(bool(verdict.violations))
    return _run_many(asked)


def _run_many(asked: argparse.Namespace) -> int:
    started_at, done, failed, faults = time.perf_counter(), 0, 0, Counter[str]()
    for one in _verdicts(range(asked.first, asked.first + asked.seeds), asked.jobs):
        done += 1
        faults.update(one.faults)
        if one.has_failed:
            failed += 1
            _tell(judge(scenario(one.seed)), quick=asked.quick)
            if failed == asked.failures:
                break
        if done % 500 == 0:
            _say(f"{done} seeds, {failed} failed, {time.perf_counter() - started_at:.0f} s")
    seconds = time.perf_counter() - started_at
    _say(f"{done} seeds in {seconds:.1f} s ({seconds / max(done, 1) * 1000:.0f} ms each), {failed} failed.")
    _say("Faults injected: " + ", ".join(f"{count} x {kind}" for kind, count in sorted(faults.items())))
    return int(failed > 0)


def _verdicts(seeds: range, jobs: int) -> Iterator[Brief]:
    if jobs == 1:
        yield from map(brief, seeds)
        return
    # Not `multiprocessing.Pool`, which waits for ever when a process of it dies.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=be_quiet) as pool:
        yield from pool.map(brief, seeds, chunksize=10)


def _tell(verdict: Verdict, *, quick: bool) -> None:
    made = verdict.scenario
    _say(f"\nSeed {made.seed}: {len(verdict.violations)} violations, {len(made.faults)} faults.")
    if not quick:
        made = shortest(made, fails_like=verdict)
        verdict = judge(made)
        _say(f"Shortest list found that fails alike: {_counts(made)}.")
    for fault in made.faults:
        _say(f"  {fault}")
    for violation in verdict.violations[:8]:
        _say(f"  -> {violation}")
    if verdict.violations:
        _say(verdict.timeline(verdict.violations[0].about))
        _say(f"Again: make simulate ARGS='--seed {made.seed}'")


def _counts(made: Scenario) -> str:
    return f"{len(made.faults)} faults, {len(made.sent)} complaints, {len(made.asked)} commands"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _same_hashes() -> None:
    """Begin again with hashes that are the same every time."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        environment: dict[str, Any] = {**os.environ, "PYTHONHASHSEED": HASH_SEED, "PYTHONWARNINGS": SILENT}
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], environment)


if __name__ == "__main__":
    _same_hashes()
    sys.exit(main())
