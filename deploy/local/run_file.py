"""`run.json`: where everything of a running stack is, for programs that want to talk to it or to kill parts of it."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.cache import file_lock


def run_folder() -> Path:
    """The folder of the stack: `AMENDS_RUN`, else `.run` in the working directory."""
    return Path(os.environ.get("AMENDS_RUN") or ".run").absolute()


def run_file(folder: Path) -> Path:
    """Its path; there from the moment everything is ready until the stack is stopped."""
    return folder / "run.json"


def read_run(folder: Path) -> dict[str, Any] | None:
    """Its content, or nothing when no stack is running in the folder."""
    try:
        content: dict[str, Any] = json.loads(run_file(folder).read_text())
    except FileNotFoundError:
        return None
    return content


def write_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Put it there in one step, so that a reader never sees half of it."""
    with file_lock(folder / "run.lock"):
        _replace(folder, content)


def change_run(folder: Path, changes: Mapping[str, Any]) -> None:
    """Put other values for some names into it, if it is there."""
    with file_lock(folder / "run.lock"):
        content = read_run(folder)
        if content is not None:
            _replace(folder, {**content, **changes})


def refresh_pids(folder: Path, pids: Mapping[str, int]) -> None:
    """Put the process ids of now into it, if it is there."""
    with file_lock(folder / "run.lock"):
        content = read_run(folder)
        if content is not None and content["pids"] != pids:
            _replace(folder, {**content, "pids": dict(pids)})


def _replace(folder: Path, content: Mapping[str, Any]) -> None:
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="run-", delete=False) as file:
        json.dump(content, file, indent=2)
    Path(file.name).replace(run_file(folder))
