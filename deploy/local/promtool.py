"""promtool, which checks and unit-tests the rules of Prometheus: from the path, else out of Debian's package."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.cache import cache_folder, file_lock
from deploy.local.part import PartUnavailableError


def promtool() -> Path:
    """The program. Debian's package is unpacked into the cache, nothing is installed.

    Raises:
        PartUnavailableError: it is not on the path, and there is no apt to fetch it with.
    """
    found = shutil.which("promtool")
    if found:
        return Path(found)
    cached = cache_folder() / "prometheus" / "usr" / "bin" / "promtool"
    with file_lock(cache_folder() / "prometheus.lock"):
        if not cached.exists():
            _unpack(cache_folder() / "prometheus")
    return cached


def _unpack(target: Path) -> None:
    if not shutil.which("apt-get"):
        raise PartUnavailableError("promtool is missing: install Prometheus, or put promtool on the PATH.")
    with tempfile.TemporaryDirectory() as folder:
        fetch = ["apt-get", "download", "-qq", "prometheus"]
        done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            # A new machine has no package lists yet; only root can fetch them.
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
            done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
        packages = list(Path(folder).glob("prometheus_*.deb"))
        if not packages:
            raise PartUnavailableError(f"promtool could not be fetched by apt-get: {done.stderr.strip()[-300:]}")
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(target)], check=True)
