"""What stands around the processes so that it can be made to fail: connections, disks, clocks.

Each says by `is_there` whether this machine allows it; where it does not, its faults are left out and named.
"""

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.ports import free_ports, kept_ports
from tests.chaos.proxy import Mode

STILL = "+0"

_TRIES: Final = 100


class Connections:
    """Proxies before every broker and the database; run as a process of its own, so that a busy test slows nothing."""

    def __init__(self, folder: Path, *, brokers: int) -> None:
        names = {"kafka" if brokers == 1 else f"kafka-{n + 1}": f"kafka-{2 * n}" for n in range(brokers)}
        names["database"] = "database"
        ports = kept_ports(folder, [*(f"kafka-{n}" for n in range(2 * brokers)), "database"])
        self.backs = {name: ports[kept] for name, kept in names.items()}
        """Port that the part itself listens on."""
        self.fronts: dict[str, int] = dict(zip(names, free_ports(len(names)), strict=True))
        """Port that clients use, by name of the part."""
        self._routes = [f"{self.fronts[name]}:{back}" for name, back in self.backs.items()]
        self._process: subprocess.Popen[str]

    @contextmanager
    def running(self) -> Iterator[None]:
        """For as long as the proxy runs."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy", *self._routes],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            start_new_session=True,  # Ctrl-C is for the test, which then stops it
        )  # fmt: skip
        try:
            assert self._answer() == "ready"
            yield
        finally:
            self._process.communicate(timeout=10)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    async def rule(self, name: str, mode: Mode) -> None:
        """Let the connections of a part behave so."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.fronts[name]} {mode}\n")
        self._process.stdin.flush()
        assert await asyncio.to_thread(self._answer) == "done"


class Disks:
    """A file system in memory for each part, which can be full. Only root may mount one."""

    def __init__(self, folder: Path, parts: list[str]) -> None:
        self._folders = {part: folder / part for part in parts}

    @staticmethod
    def is_there() -> bool:
        """Whether file systems can be mounted."""
        return (
            sys.platform == "linux"
            and os.geteuid() == 0
            and _succeeds("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt")
        )

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """For as long as they are mounted."""
        with ExitStack() as mounted:
            for folder in self._folders.values():
                folder.mkdir(parents=True)
                _run("mount", "-t", "tmpfs", "-o", "size=4g", "none", str(folder))
                mounted.callback(_run, "umount", "-l", str(folder))
            yield

    def fill(self, part: str) -> None:
        """Leave no room for a further byte: the size becomes what is used."""
        for _ in range(_TRIES):
            used = os.statvfs(self._folders[part])
            size = (used.f_blocks - used.f_bfree) * used.f_frsize
            # Refused when more was written in between.
            if _succeeds("mount", "-o", f"remount,size={max(size, 4096)}", str(self._folders[part])):
                return
        raise RuntimeError(f"the disk of {part} could not be filled")

    def free(self, part: str) -> None:
        """Let there be room again."""
        _run("mount", "-o", "remount,size=4g", str(self._folders[part]))


@dataclass
class Clocks:
    """A wall clock for each process of a service that can be set while it runs; the monotonic one goes on."""

    folder: Path
    names: list[str]
    variables: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """For the environment, by name of the process."""

    def __post_init__(self) -> None:
        library = _faketime()
        if library is None:
            return
        self.folder.mkdir(parents=True)
        for name in self.names:
            self.set(name, 0)
            self.variables[name] = _faked(library, self.folder / name)

    @staticmethod
    def is_there() -> bool:
        """Whether the library works here."""
        return _faketime() is not None

    def set(self, name: str, ahead_s: float) -> None:
        """Let the clock of a process be wrong by so many seconds, within a second from now."""
        (self.folder / f"{name}.new").write_text(f"{ahead_s:+.3f}s" if ahead_s else STILL)
        (self.folder / f"{name}.new").replace(self.folder / name)


def _faked(library: Path, file: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # reading the file for every look at the clock would cost 10 us each
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def _faketime() -> Path | None:
    """The library libfaketime, from its wheel or from the system, if it can set the clock of this Python."""
    found = importlib.util.find_spec("libfaketime")
    wheel = [Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"] if found and found.origin else []
    for library in (*wheel, *Path("/usr/lib").glob("*/faketime/libfaketime.so.1")):
        year = "import time; raise SystemExit(time.gmtime().tm_year != 2040 or time.monotonic() > 2e9)"
        faked = {"LD_PRELOAD": str(library), "FAKETIME": "@2040-06-01 00:00:00", "DONT_FAKE_MONOTONIC": "1"}
        if library.exists() and _succeeds(sys.executable, "-c", year, **faked):
            return library
    return None


def _succeeds(*command: str, **variables: str) -> bool:
    done = subprocess.run(command, check=False, capture_output=True, env={**os.environ, **variables})
    return done.returncode == 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
