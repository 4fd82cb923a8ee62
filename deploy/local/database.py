"""The database: a server that speaks MongoDB's wire protocol on WiredTiger, as MongoDB itself has no free package.

`secantusd-rs` is built once by cargo. Without cargo the wheel `SecantusDB` does the same in Python, about ten times
slower: good enough for the demo. Both sync on every commit, so that a killed server loses no acknowledged write.
"""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import click
import psutil

from deploy.local.cache import cache_folder, file_lock
from deploy.local.part import Part, PartUnavailableError, tail

SECANTUS_VERSION = "0.5.3-beta.196"
DATABASE_NAME = "amends"
_ADVICE = "Remove the folder if its data is not needed, or set AMENDS_MONGO to a server of your own."
_CACHE_SHARE = 1 / 6
_CACHE_MB_MAX = 4096
"""A part of the memory, filled as it is used: indexes that do not fit into it make every write several times dearer."""


def database_part(*, folder: Path, port: int, front: int | None = None, cache_mb: int | None = None) -> Part:
    """A database on `port` with its data in `folder`; clients find it at `front` if something passes on from there.

    `cache_mb` is what it may keep in memory of its data; None: a part of the machine's.

    Raises:
        PartUnavailableError: It can neither be built nor is its wheel installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # An own file of settings, or the server would read one from the user's home.
    (folder / "secantusd.toml").write_text("")
    address = f"mongodb://127.0.0.1:{front or port}/{DATABASE_NAME}"
    return Part(
        name="database",
        command=(
            str(server()), "--config", str(folder / "secantusd.toml"), "--host", "127.0.0.1", "--port", str(port),
            "--storage-path", str(folder / "data"), "--sync-on-commit",
            "--cache-size", f"{cache_mb or usual_cache_mb()}M", "--log-level", "WARNING",
        ),
        folder=folder,
        address=address,
        probe=lambda: probe_database(address),
        advice=_ADVICE,
    )  # fmt: skip


def usual_cache_mb() -> int:
    """What the server may keep in memory of its data when other parts run beside it."""
    return min(int(psutil.virtual_memory().total * _CACHE_SHARE) >> 20, _CACHE_MB_MAX)


def probe_database(url: str) -> None:
    """One `ping`; raises while the server does not answer."""
    # A refused connection is known at once; the driver would look for a server for as long as it may.
    host, _, port = url.removeprefix("mongodb://").split("/")[0].rpartition(":")
    socket.create_connection((host, int(port)), timeout=1).close()
    from pymongo import MongoClient  # noqa: PLC0415 - the driver costs 150 ms to import

    with MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=1000, directConnection=True) as client:
        client.admin.command("ping")


def server() -> Path:
    """The server's executable: from the cache, built into it, or the slower one of the wheel.

    Raises:
        PartUnavailableError: None of the three works.
    """
    home = cache_folder() / "secantus"
    built = home / "bin" / "secantusd-rs"
    failure = "cargo is not installed"
    with file_lock(cache_folder() / "secantus.lock"):
        if built.exists():
            return built
        failed = cache_folder() / f"secantus-{SECANTUS_VERSION}.failed"
        if failed.exists():  # or every start would try for minutes
            failure = f"{failed.read_text()} (remove {failed} to try again)"
        elif shutil.which("cargo"):
            failure = _build(home)
            if built.exists():
                return built
            failed.write_text(failure)
    wheel = Path(sys.executable).with_name("secantusd-py")
    if wheel.exists():
        click.echo(f"The database runs from the wheel SecantusDB, about ten times slower, because {failure}.", err=True)
        return wheel
    raise PartUnavailableError(
        f"No database for this machine: {failure}. Install cargo (rustup) or `pip install SecantusDB`, "
        "or set AMENDS_MONGO to a server of your own."
    )


def _build(home: Path) -> str:
    """Build by cargo into `home`; why it failed, or nothing."""
    log = cache_folder() / "cargo.log"
    click.echo(f"Building the database (secantusd-rs {SECANTUS_VERSION}), once, about 4 minutes; see {log}.", err=True)
    command = (
        "cargo", "install", "secantus-mdb", "--version", SECANTUS_VERSION, "--ignore-rust-version",
        "--root", str(home),
    )  # fmt: skip
    with log.open("wb") as output:
        try:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=1800)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"cargo did not run ({error})"
    return f"cargo could not build it: {tail(log, 5)}" if done.returncode else ""
