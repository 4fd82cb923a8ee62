"""What a run of parts was asked for, and where its figures are kept."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Sizes; see `python -m tests.scale --help`."""

    folder: Path
    """A file of JSON for each part."""
    rate: float
    """Complaints a second that hold."""
    flood_s: int
    overload_s: float
    burst: int
    soak: float
    growth: tuple[int, ...]
    complaints: int

    def file_of(self, part: str) -> Path:
        """Where the figures of a part are kept."""
        return self.folder / f"{part}.json"

    def figures_of(self, part: str) -> dict[str, Any] | None:
        """What was measured last; None where it never was."""
        file = self.file_of(part)
        return json.loads(file.read_text())["figures"] if file.exists() else None
