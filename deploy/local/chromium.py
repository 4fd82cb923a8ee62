"""Chromium, which the journeys of `tests/journeys` run in: from the path, else Debian's package."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.cache import cache_folder, file_lock
from deploy.local.part import PartUnavailableError

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first is the same engine without windows and menus, which take as much time again as the pages."""
INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium-headless-shell", "fonts-noto-cjk")
"""With a font that has Chinese: without one the pages are boxes."""


def chromium() -> Path:
    """The program. Debian's package is installed where that is possible, which takes root and apt.

    Raises:
        PartUnavailableError: it is not on the path and cannot be installed.
    """
    with file_lock(cache_folder() / "chromium.lock"):
        found = _on_path()
        if found is None:
            _install()
            found = _on_path()
    if found is None:
        raise PartUnavailableError("Chromium was installed and is not on the PATH: put it there.")
    return found


def _on_path() -> Path | None:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else None


def _install() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        advice = f"run `{' '.join(INSTALL)}` as root, or put chromium or google-chrome on the PATH"
        raise PartUnavailableError(f"Chromium is missing: {advice}.")
    # A new machine has no package lists yet, and old lists name packages that are gone.
    subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(INSTALL, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartUnavailableError(f"Chromium could not be installed by apt-get: {done.stderr.strip()[-300:]}")
