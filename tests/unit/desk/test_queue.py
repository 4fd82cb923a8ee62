from hashlib import sha256

import pytest
from pydantic import ValidationError

from services.desk.cursor import WrongCursor, cursor, position
from services.desk.customer_request import customer_keys
from services.desk.queue import EVERYTHING, Filters, PageAsked, Scope, reading
from services.desk.searching import search
from tests.unit.desk.stories import RECEIVED


def sign(kind: str, text: str) -> str:
    return sha256(f"{kind}/{text}".encode()).hexdigest()


def test_all_mistakes_are_told_at_once() -> None:
    """Each wrong parameter is named, and one that does not exist, too."""
    with pytest.raises(ValidationError) as refusal:
        PageAsked.model_validate(
            {
                "state": ["lost"],
                "severity": [9],
                "category": ["delay.never"],
                "due_before": "soon",
                "size": 0,
                "colour": 1,
            }
        )
    assert {str(e["loc"][0]) for e in refusal.value.errors()} == {
        "state", "severity", "category", "due_before", "size", "colour",
    }  # fmt: skip


@pytest.mark.parametrize("typed", ["13800138000", "+86 138 0013 8000", "someone@example.com", "１３８００１３８０００"])
def test_a_contact_is_no_search_text(typed: str) -> None:
    """What would put a number or address of a person into a URL is refused, with the way that is there for it."""
    with pytest.raises(ValidationError, match="POST /v1/customers"):
        Filters(q=typed)


@pytest.mark.parametrize(
    ("typed", "exact", "prefix"),
    [
        ("2611-000017", "2611000017", "2611000017"),
        ("2611 17", "26110001", ""),
        ("hub-01", "HUB01", ""),
        ("yt000000001", "YT000000001", "YT000000001"),
    ],
)
def test_search_texts(typed: str, exact: str, prefix: str) -> None:
    """Case, width and hyphens do not matter; only what is long enough is looked for by its beginning."""
    meant = search(typed)
    assert any(key.startswith(exact) or key == exact for key in (*meant.exact, meant.prefix))
    assert meant.prefix == prefix


def test_numbers_are_found_without_their_check_digit() -> None:
    """And without the zeros that nobody says."""
    assert "2611000424" in search("2611-42").exact or any(k.startswith("261100042") for k in search("2611-42").exact)
    assert any(key.startswith("261100042") for key in search("2611-00042").exact)


@pytest.mark.parametrize("field", ["due_before", "received_from", "received_to"])
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_that_are_none_in_another_zone_are_refused(field: str, at: str) -> None:
    """No question can be asked with them, and no view be kept that breaks everybody's tabs."""
    with pytest.raises(ValidationError, match="the year must be"):
        Filters.model_validate({field: at})


def test_every_reading_goes_by_an_index() -> None:
    """The field of the index is the first condition, or a line is read; nothing is nested."""
    for asked in ({}, {"q": "YT0000000000017"}, {"person": ["me"]}, {"flag": ["safety"]}, {"clock": "approval"}, {}):
        found = reading(Filters.model_validate(asked), scope=EVERYTHING, me="p1", now=RECEIVED)
        assert found.segments or next(iter(found.where)) in {"keys", "person_standing", "marks"}
        assert not any(field.startswith("$") for field in found.where)


def test_a_scope_cannot_be_asked_away() -> None:
    """What is asked for outside of it gives nothing, and what shares a unit is inside."""
    scope = Scope(units=frozenset({"NET-1"}))
    assert reading(Filters(unit=["NET-2"]), scope=scope, me="p1", now=RECEIVED).is_void
    assert scope.shows(department=None, units=("HUB-1", "NET-1"))
    assert not scope.shows(department="hubs", units=("HUB-1",))
    assert reading(Filters(), scope=Scope(units=frozenset()), me="p1", now=RECEIVED).is_void


def test_a_cursor_is_of_its_question_alone() -> None:
    """It gives back its position; altered, or with another question, it is refused."""
    asked = Filters(flag=["safety"])  # type: ignore[list-item]  # as a URL has it
    text = cursor("hubs|o0123", fingerprint=asked.fingerprint(), sign=sign)
    assert position(text, fingerprint=asked.fingerprint(), sign=sign) == "hubs|o0123"
    for altered in (text[:-1], "x" + text, "", "é.é", text.replace(".", "")):
        with pytest.raises(WrongCursor):
            position(altered, fingerprint=asked.fingerprint(), sign=sign)
    with pytest.raises(WrongCursor, match="another question"):
        position(text, fingerprint=Filters().fingerprint(), sign=sign)
    assert PageAsked(size=7).fingerprint() == PageAsked(size=9, cursor="x").fingerprint()


def test_customer_keys_are_the_intakes() -> None:
    """A phone number is found however it is written; an address in any case."""

    def blind(kind: str, value: str) -> str:
        return f"{kind}:{value}"

    assert customer_keys(" 138 0013 8000 ", blind=blind)[0] == "phone:+8613800138000"
    assert customer_keys("+8613800138000", blind=blind)[0] == "phone:+8613800138000"
    assert customer_keys("Li@Example.com", blind=blind) == ["email:li@example.com"]
    assert customer_keys("oABC-9", blind=blind) == ["wechat:oABC-9", "account:oABC-9"]
