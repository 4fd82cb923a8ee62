"""Bugs to be planted, which `make mutants` does: each small, in one place, and such as a person might make.

Not here, because a second line of defence makes them harmless: a window read without what is armed meanwhile and a
claim without compare-and-set (the sweep, and guarded records behind them), random ids of events (the stored ones are
told), the check of the generation when a batch is finished (what was handled may be called handled).
"""

from dataclasses import dataclass
from pathlib import Path


class CodeHasChanged(Exception):  # noqa: N818 - said of the code
    """What a bug is to take the place of is not there, or not once: mend the mutant."""


@dataclass(frozen=True, slots=True)
class Change:
    """Text in the place of other text, which the file has exactly once."""

    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The file's text with the change.

        Raises:
            CodeHasChanged: the old text is not there once.
        """
        if (times := text.count(self.old)) != 1:
            raise CodeHasChanged(
                f"{self.file} has this {times} times, not once: the code has changed: mend the mutant\n{self.old}"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug."""

    name: str
    bug: str
    """A sentence."""
    changes: tuple[Change, ...]

    def plant(self, root: Path) -> None:
        """Change the files below `root`.

        Raises:
            CodeHasChanged: see `Change`.
        """
        for change in self.changes:
            path = root / change.file
            path.write_text(change.applied(path.read_text("utf-8")), "utf-8")


def mutant(name: str, bug: str, file: str, old: str, new: str) -> Mutant:
    """A bug that is one change."""
    return Mutant(name, bug, (Change(file, old, new),))
