"""The bugs that `make mutants` plants."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.planted import CodeHasChanged, Mutant, mutant
from tests.simulation.planted.all import MUTANTS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("planted", MUTANTS, ids=lambda m: m.name)
def test_every_bug_can_still_be_planted(planted: Mutant) -> None:
    """What it takes the place of is there exactly once, and what comes of it is Python."""
    texts: dict[str, str] = {}
    for change in planted.changes:
        before = texts.get(change.file) or (ROOT / change.file).read_text("utf-8")
        texts[change.file] = change.applied(before)
        assert texts[change.file] != before
    for file, text in texts.items():
        ast.parse(text, file)


def test_every_bug_has_a_name_of_its_own() -> None:
    """`make mutants ARGS=name` means one of them, and there are at least 28."""
    names = Counter(m.name for m in MUTANTS)
    assert max(names.values()) == 1
    assert len(names) >= 28


@pytest.mark.parametrize("text", ["", "sooner sooner"])
def test_a_bug_that_does_not_fit_the_code_is_refused(tmp_path: Path, text: str) -> None:
    """Where the code has changed, the mutant is to be mended, not passed over."""
    (tmp_path / "module.py").write_text(text)
    with pytest.raises(CodeHasChanged, match="mend the mutant"):
        mutant("late", "Later instead of sooner.", "module.py", "sooner", "later").plant(tmp_path)
