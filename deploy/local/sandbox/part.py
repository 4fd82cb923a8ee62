"""The sandbox as a part of the stack."""

import sys
import urllib.request
from pathlib import Path

from deploy.local.part import Part


def sandbox_part(*, folder: Path, http: int, smpp: int, smtp: int) -> Part:
    """The sandbox's process with its three ports on 127.0.0.1 and its messages in `folder`."""
    address = f"http://127.0.0.1:{http}"
    return Part(
        name="sandbox",
        command=(
            sys.executable, "-m", "deploy.local.sandbox", "--folder", str(folder),
            "--http", str(http), "--smpp", str(smpp), "--smtp", str(smtp),
        ),
        folder=folder,
        address=address,
        probe=lambda: urllib.request.urlopen(f"{address}/healthz", timeout=1).close(),  # noqa: S310 - our own address
        advice="Look for a port taken by another program.",
    )  # fmt: skip
