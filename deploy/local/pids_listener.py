"""Told by supervisord of every process that starts or ends, keeps the process ids in `run.json` those of now."""

import os
import sys
from pathlib import Path

from supervisor import childutils  # type: ignore[import-untyped]  # publishes no types

from deploy.local.run_file import refresh_pids
from deploy.local.supervision import Supervisor


def main() -> None:
    """Speak supervisord's protocol for event listeners until it ends."""
    folder = Path(os.environ["AMENDS_STACK"])
    supervisor = Supervisor(folder)
    while True:
        childutils.listener.wait(sys.stdin, sys.stdout)
        refresh_pids(folder, supervisor.pids())
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main()
