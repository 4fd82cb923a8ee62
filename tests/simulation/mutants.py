"""`make mutants`: plant bugs in a copy, one at a time, and see that the simulation finds each.

python -m tests.simulation.mutants                      all of them
python -m tests.simulation.mutants sweeper-off ...      these
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.simulation.planted import Mutant
from tests.simulation.planted.all import MUTANTS

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("services", "schemas", "deploy", "tests")
SEEDS: Final = 1_000
_SAYS_WHERE: Final = "import schemas.ids, services.runtime.ledger as s; print(s.__file__, schemas.ids.__file__)"
_DONE: Final = re.compile(r"^(\d+) seeds in ", re.MULTILINE)
_MISSPELT: Final = re.compile(r"(?:Name|Import|Syntax)Error\(.*")
_SEED: Final = re.compile(r"^Seed (\d+): ", re.MULTILINE)
_VIOLATION: Final = re.compile(r"^  -> Violation\(invariant=(\d+), about=.*?, words=(.*)\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """What the simulation said of a bug; `seeds` it needed, None: it found nothing."""

    seeds: int | None
    seed: int | None
    invariants: tuple[str, ...]
    words: str
    seconds: float


def main() -> int:
    """Try those that are asked for; gives the exit code: 1 when one is not found."""
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="name", help="of a mutant (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="most of them (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all processors)")
    parser.add_argument("--list", action="store_true", help="name them and what is wrong with each")
    asked = parser.parse_args()
    known = {m.name: m for m in MUTANTS}
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"no mutant is called {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in asked.names] or list(MUTANTS)
    if asked.list:
        for one in chosen:
            _say(f"{one.name:28} {one.bug}")
        return 0
    _say(f"{'mutant':28} {'seeds':>6} {'seed':>6} {'invariant':>9} {'seconds':>8}")
    survivors = []
    for one in chosen:
        found = hunt(one, seeds=asked.seeds, jobs=asked.jobs)
        if found.seeds is None:
            survivors.append(one)
            _say(f"{one.name:28} SURVIVES {asked.seeds} seeds ({found.seconds:.0f} s): {one.bug}")
        else:
            invariants = ",".join(found.invariants)
            _say(f"{one.name:28} {found.seeds:6} {found.seed!s:>6} {invariants:>9} {found.seconds:8.0f}  {found.words}")
    _say(f"{len(chosen) - len(survivors)} of {len(chosen)} found.")
    return int(bool(survivors))


def hunt(mutant: Mutant, *, seeds: int, jobs: int) -> Found:
    """Plant a bug in a copy and simulate there.

    Raises:
        CodeHasChanged: it cannot be planted.
        RuntimeError: the simulation did not run, or not on the copy, or the bug is one that every run shows.
    """
    with TemporaryDirectory(prefix="amends-mutant-") as folder:
        copy = Path(folder).resolve()
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name)
        mutant.plant(copy)
        for path in _python(copy, "-c", _SAYS_WHERE).stdout.split():
            if not Path(path).resolve().is_relative_to(copy):
                raise RuntimeError(f"the copy imports {path}")
        began_at = time.perf_counter()
        asked = ("--seeds", str(seeds), "--failures", "1", "--quick", "--jobs", str(jobs))
        ran = _python(copy, "-m", "tests.simulation", *asked)
        seconds = time.perf_counter() - began_at
    if ran.returncode == 0:
        return Found(None, None, (), "", seconds)
    if misspelt := _MISSPELT.search(ran.stdout):
        raise RuntimeError(f"{mutant.name} is no bug that a review would miss: {misspelt[0]}")
    done, seed = _DONE.search(ran.stdout), _SEED.search(ran.stdout)
    if not done or not seed:
        raise RuntimeError(f"{mutant.name}: the simulation ended by itself\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}")
    broken = _VIOLATION.findall(ran.stdout)
    invariants = tuple(sorted({number for number, _ in broken}))
    return Found(int(done[1]), int(seed[1]), invariants, broken[0][1][:100] if broken else "", seconds)


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
