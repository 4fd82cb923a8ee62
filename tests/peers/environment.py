"""Environments of their own for the peers: none of them is a dependency of Amends."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from deploy.local.cache import cache_folder, file_lock

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements")


def python_of(peer: str) -> Path:
    """The Python that has a peer: made from `requirements/<peer>.txt`, with hashes, when that file changed.

    Raises:
        CalledProcessError: a package cannot be had; pip's own words are on standard error.
    """
    pinned = (REQUIREMENTS / f"{peer}.txt").read_bytes()
    folder = cache_folder() / "peers" / f"{peer}-{hashlib.sha256(pinned + sys.version.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    with file_lock(folder.with_suffix(".lock")):
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
                 "--no-deps", "--no-compile", "--requirement", str(REQUIREMENTS / f"{peer}.txt")],
                check=True,
            )  # fmt: skip
            (folder / "installed").touch()
    return python


def version_of(peer: str, package: str) -> str:
    """`name version` of a package in a peer's environment."""
    site = next((python_of(peer).parents[1] / "lib").glob("python*")) / "site-packages"
    found = next(d for d in distributions(path=[str(site)]) if d.metadata["Name"].lower() == package)
    return f"{package} {found.version}"


def environment(**given: str) -> dict[str, str]:
    """What a peer's program is told: where Amends' own modules are, and what is given."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **given}
