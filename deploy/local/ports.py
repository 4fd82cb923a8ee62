"""Free ports on 127.0.0.1 that stay free until their part listens, and again while it is down."""

import json
import random
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from deploy.local.cache import cache_folder, file_lock

# Below the range from which Linux (32768+) and macOS (49152+) draw the ports of outgoing connections: a client that
# dials a dead local server from inside that range can connect to itself and keep the server from coming back.
_RANGE = range(20_000, 32_000)
_LEASE_S = 300.0


def free_ports(count: int) -> list[int]:
    """Choose `count` ports that nobody listens on and that no other start was given in the last five minutes.

    Raises:
        OSError: No such ports are left.
    """
    leases = cache_folder() / "ports"
    leases.mkdir(exist_ok=True)
    chosen: list[int] = []
    with file_lock(cache_folder() / "ports.lock"):
        for port in random.sample(_RANGE, len(_RANGE)):
            lease = leases / str(port)
            if len(chosen) == count:
                break
            if lease.exists() and time.time() - lease.stat().st_mtime < _LEASE_S:
                continue
            if is_free(port):
                lease.touch()
                chosen.append(port)
    if len(chosen) < count:
        raise OSError(f"Only {len(chosen)} of {count} free ports between {_RANGE[0]} and {_RANGE[-1]}: stop something")
    return chosen


def kept_ports(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Port by name as `folder` had them last time, so that clients find a restarted stack; new where one was taken."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ports.json"
    kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    ports = {name: port for name, port in kept.items() if is_free(port)}
    missing = [name for name in names if name not in ports]
    ports |= zip(missing, free_ports(len(missing)), strict=True)
    path.write_text(json.dumps(ports, indent=1))
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
