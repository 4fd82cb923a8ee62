"""The folder where downloads and builds are kept, outside the tree, shared by every stack of this user."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """The cache: `AMENDS_CACHE`, else `~/.cache/amends`; made when it is not there."""
    folder = Path(os.environ.get("AMENDS_CACHE") or Path.home() / ".cache" / "amends").expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` across processes; waits for as long as another holds it.

    The kernel drops the lock with the process, so a killed holder blocks nobody.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
