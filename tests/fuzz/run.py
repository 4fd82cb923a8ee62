"""`make fuzz`: each border for some time under a coverage-guided fuzzer, in a process of its own.

    make fuzz ARGS="--seconds=120 --target=smpp"

An input that takes more than a second, needs more than 1 GB, or raises what the target does not expect is kept in
`crashes/<target>/`; mend the product, then commit the file: it is replayed with the unit tests from then on.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS

FOLDER = Path(__file__).parent


def main() -> int:
    """Exit code 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="one of them; repeatable (all)")
    asked = parser.parse_args()
    found = []
    for name in asked.target or TARGETS:
        with tempfile.TemporaryDirectory() as corpus:
            for number, seed in enumerate(TARGETS[name].seeds()):
                Path(corpus, str(number)).write_bytes(seed)
            print(f"{name}: {asked.seconds} s", flush=True)  # noqa: T201
            command = [sys.executable, "-m", "tests.fuzz.run_one", name, corpus, str(asked.seconds)]
            code = subprocess.run(command, check=False).returncode
        if code:
            found.append(name)
    print(f"found something: {', '.join(found)}; see {FOLDER / 'crashes'}" if found else "nothing was found")  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
