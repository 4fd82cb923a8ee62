import pytest

from services.desk.drafting import TEXT_MAX, WrongDraft, fingerprint, read_draft, wrongs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mapping"),
        ("- a", "mapping"),
        ("a: [", "line"),
        ("a: 1\na: 2", "twice"),
        ("a: &x [*x]", "itself"),
        ("x" * (TEXT_MAX + 1), "characters"),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, said: str) -> None:
    """With the reason, never with a crash."""
    with pytest.raises(WrongDraft, match=said) as refused:
        read_draft(text)
    assert refused.value.problems


def test_a_problem_names_its_field() -> None:
    """What stands before the colon; a line number stays with the words."""
    one, two, three = wrongs(["clocks.a.rules.0.target: 'x' is none", "a.b (line 3): is there twice", "person p: none"])
    assert (one.field, one.details["message"]) == ("clocks.a.rules.0.target", "'x' is none")
    assert (two.field, two.details["message"]) == ("a.b", "(line 3) is there twice")
    assert (three.field, three.details["message"]) == ("", "person p: none")


def test_a_fingerprint_tells_texts_apart() -> None:
    """Also where what ends one text begins the next."""
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a", "\ud800") == fingerprint("a", "\ud800")
