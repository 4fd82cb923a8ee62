"""What people write down about a case."""

import pytest
from pydantic import ValidationError

from schemas.notes import TEXT_MAX, Note


def test_a_note_comes_back_as_it_was_sealed() -> None:
    """With every part; what is not there takes no room."""
    note = Note(text="驾驶员没有扫描", whys=("a", "b", "c", "d", "e"), for_customer="我们核实了")
    assert Note.from_seal_bytes(note.seal_bytes()) == note
    assert Note().seal_bytes() == b"{}"


@pytest.mark.parametrize(
    "given", [{"text": "x" * (TEXT_MAX + 1)}, {"for_customer": "x" * (TEXT_MAX + 1)}, {"whys": ("x",) * 6}]
)
def test_a_note_has_its_limits(given: dict[str, object]) -> None:
    """Of every text, and five whys."""
    with pytest.raises(ValidationError):
        Note(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\u3164\u2800", "\ufeff\u00ad"])
def test_what_nobody_can_read_says_nothing(text: str) -> None:
    """A note of such characters is empty."""
    assert Note(text=text, for_customer=text) == Note()


@pytest.mark.parametrize("text", ["好", "?", "1", "😡", "\u200bx"])
def test_what_can_be_read_is_kept_as_it_is(text: str) -> None:
    """Whatever else is in it."""
    assert Note(for_customer=text).for_customer == text
