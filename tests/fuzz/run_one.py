"""One target under atheris: `python -m tests.fuzz.run_one TARGET CORPUS SECONDS`."""

import sys
from pathlib import Path

import atheris

FOLDER = Path(__file__).parent
INPUT_S_MAX = 1
RSS_MB = 1024
GUIDING = ["schemas", "services", "smpp34", "filetype", "yaml"]
"""Packages whose branches guide the fuzzer."""

with atheris.instrument_imports(include=GUIDING):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Never returns."""
    name, corpus, seconds = sys.argv[1:]
    crashes = FOLDER / "crashes" / name
    crashes.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_S_MAX}",
        f"-rss_limit_mb={RSS_MB}",
        f"-max_len={TARGETS[name].bytes_max}",
        f"-artifact_prefix={crashes}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name].run)
    atheris.Fuzz()


main()
