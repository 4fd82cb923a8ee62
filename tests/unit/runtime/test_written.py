"""Files that people write."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.runtime.written import WrongYaml, read_yaml, read_yaml_file

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 10)}]\n" for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", ["a (line 3): is there twice; the first would be lost"]),
        ("x: {y: 1, y: 2}", ["x.y (line 1): is there twice"]),
        ("0x1: a\n1: b", ["1 (line 2): is there twice"]),
        ("a: 2026-02-31\nb: 2026-13-01", ["a (line 1): '2026-02-31' is no timestamp", "b (line 2): '2026-13-01'"]),
        ("a: !!int x", ["a (line 1): 'x' is no int"]),
        ("a: !!bool x", ["a (line 1): 'x' is no bool"]),
        ("a: " + "9" * 5000, ["is no int"]),
        ("a: &a [*a]", ["refers to itself"]),
        (BOMB, ["stands for more than 500000 values"]),
        ("[" * 3000, ["nested too deep"]),
        ("a: [1", ["expected ',' or ']'"]),
        ("a: !!python/object:os.system x", ["could not determine a constructor"]),
        ("a: \x00", ["special characters are not allowed"]),
        ("? {a: 1}\n: b", ["found unhashable key"]),
    ],
)
def test_every_mistake_is_told_with_its_place(text: str, told: list[str]) -> None:
    """Nothing is guessed, dropped in silence, or worked on for ever."""
    with pytest.raises(WrongYaml) as refusal:
        read_yaml(text)
    for part in told:
        assert any(part in problem for problem in refusal.value.problems), refusal.value.problems


def test_what_is_right_is_read_as_it_is_written() -> None:
    """Anchors and merges work; a time of day is text, quoted or not."""
    text = "base: &base {a: 1}\nmore: {<<: *base, b: 22:00, c: '08:00', d: 2026-01-02, e: 1.5, f: 1:30.5}"
    more = {"a": 1, "b": "22:00", "c": "08:00", "d": date(2026, 1, 2), "e": 1.5, "f": "1:30.5"}
    assert read_yaml(text) == {"base": {"a": 1}, "more": more}
    assert read_yaml("") is None


def test_a_file_that_cannot_be_read_says_so(tmp_path: Any) -> None:
    """Missing, a folder, or not UTF-8."""
    (tmp_path / "latin").write_bytes(b"a: \xff")
    for name in ("missing", ".", "latin"):
        with pytest.raises(WrongYaml):
            read_yaml_file(tmp_path / name)


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(exclude_categories=[]) | st.sampled_from("[]{}:,-?&*!|>'\"%@`#\n 0123456789ab<"), max_size=60)
)
def test_any_text_is_values_or_a_mistake(text: str) -> None:
    """Nothing else comes out."""
    try:
        read_yaml(text)
    except WrongYaml as refusal:
        assert refusal.problems
        "\n".join(refusal.problems).encode()
