"""Memory of each service with nothing to do."""

from pathlib import Path
from typing import Any

import psutil

from deploy.local import running
from deploy.local.programs import SERVICES
from deploy.local.run_file import read_run

STARTS_ITSELF = True


async def run(folder: Path) -> dict[str, Any]:
    """Resident megabytes of each service once it is ready."""
    running.up(folder, workers={}, detached=False, say=lambda _line: None)
    try:
        pids = (read_run(folder) or {})["pids"]
        memory_mb = {name: psutil.Process(pids[name]).memory_info().rss / 1e6 for name in SERVICES}
    finally:
        running.down(folder)
    return {f"{name}_mb": mb for name, mb in memory_mb.items()} | {"service_mb_max": max(memory_mb.values())}
