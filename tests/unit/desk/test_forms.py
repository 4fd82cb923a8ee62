"""What people write in forms becomes commands, or everything that is wrong."""

from typing import Any
from uuid import UUID

import pytest
from starlette.datastructures import FormData

from schemas.codes import Channel, Clock
from schemas.ticket import fold
from services.desk.forms import FORMS, Written, first_values, offered, typed_values, written
from tests.unit.desk.stories import Story

TICKET = fold(Story().events)
ID = UUID(int=7)


def read(name: str, *given: tuple[str, str], other: Any = None) -> Written:
    """What becomes of a form."""
    return written(name, FormData(list(given)), ticket=TICKET, other=other, command_id=ID)


def test_a_review_says_what_it_corrects() -> None:
    """What is confirmed is left out of the command, what is corrected stands in it."""
    shown = [(key, value) for key, values in first_values("complete_review", TICKET).items() for value in values]
    confirmed = read("complete_review", *shown)
    assert confirmed.asked
    assert confirmed.asked.action.model_dump(exclude_none=True) == {"name": "complete_review"}
    corrected = [(key, "damage.wet" if key == "primary" else value) for key, value in shown]
    asked = read("complete_review", *corrected).asked
    assert asked
    assert asked.action.model_dump(mode="json", exclude_none=True)["primary"] == {"category": "damage", "sub": "wet"}


@pytest.mark.parametrize(
    ("name", "given", "fields"),
    [
        ("estimate_loss", [("loss", "a lot")], ["loss"]),
        ("estimate_loss", [("loss", "-5")], ["loss"]),
        ("share_liability", [("shares", "HUB-01 40\nNET-1 50")], ["shares"]),
        ("share_liability", [("shares", "HUB-01")], ["shares"]),
        ("return_to_centre", [], ["reason"]),
        ("add_note", [], ["text"]),
        ("link_as_repeat", [("to_ticket", "2611-1")], ["to_ticket"]),
        ("plan_corrective_action", [("due_on", "soon")], ["owner", "due_on", "text"]),
        ("record_survey", [("score", "9")], ["score"]),
        ("hand_over", [("department", "d" * 65)], ["department"]),
    ],
)
def test_all_that_is_wrong_is_told(name: str, given: list[tuple[str, str]], fields: list[str]) -> None:
    """Each field once, and no command."""
    result = read(name, *given)
    assert result.asked is None
    assert [problem.field for problem in result.problems] == fields


@pytest.mark.parametrize(
    ("name", "given", "action"),
    [
        ("assign", [("person", " p9 ")], {"person": "p9"}),
        ("estimate_loss", [("loss", "1,200.50")], {"loss": {"amount": "1200.50", "currency": "CNY"}}),
        (
            "share_liability",
            [("shares", "HUB-01 40%\nNET-1 60")],
            {"shares": [{"unit": "HUB-01", "percent": 40}, {"unit": "NET-1", "percent": 60}]},
        ),
        ("decide_appeal", [], {"changed": False, "remedy": ""}),
        ("link_as_repeat", [("to_ticket", "2611-1")], {"to_ticket": str(TICKET.id), "to_routing_key": "k"}),
        ("return_to_centre", [("reason", "not_ours")], {}),
    ],
)
def test_what_is_right_is_a_command(name: str, given: list[tuple[str, str]], action: dict[str, Any]) -> None:
    """With the values in their own shape, under the id that the form came with."""
    result = read(name, *given, other=TICKET)
    assert result.problems == []
    assert result.asked
    told = result.asked.action.model_dump(mode="json", exclude_none=True)
    assert (result.asked.command_id, told) == (ID, {"name": name, **action})


def test_whys_and_words_are_a_note() -> None:
    """The chain of whys is counted in the command and written in the note, line by line."""
    asked = read("record_findings", ("cause", "missorted"), ("whys", "one\n\ntwo"), ("text", "facts")).asked
    assert asked
    assert asked.note
    assert (asked.note.whys, asked.note.text) == (("one", "two"), "facts")
    assert asked.action.model_dump()["whys"] == 2


@pytest.mark.parametrize("name", list(FORMS))
def test_nothing_typed_is_lost(name: str) -> None:
    """A form that is shown again has everything that was typed."""
    keys = [field.name for field in FORMS[name].fields] + ["reason", "text", "whys", "for_customer"]
    assert typed_values(name, FormData([(key, f"typed {key}") for key in keys])) == {
        key: [f"typed {key}"] for key in keys
    }


@pytest.mark.parametrize(
    ("channel", "clocks", "expected"),
    [
        (Channel.PHONE, set(), ["answer", "add_note"]),
        (Channel.REGULATOR, set(), ["answer", "add_note", "answer_regulator"]),
        (Channel.PLATFORM, set(), ["answer", "add_note", "record_platform_action"]),
        (Channel.WECHAT, {Clock.PLATFORM_ACTION}, ["answer", "add_note", "record_platform_action"]),
    ],
)
def test_regulator_and_platform_are_answered_where_they_asked(
    channel: Channel, clocks: set[Clock], expected: list[str]
) -> None:
    """Of other tickets these are no buttons; what has no form is none either, and steps come first."""
    names = ["add_note", "answer_regulator", "record_platform_action", "answer", "follow_up"]
    assert offered(names, channel, clocks) == expected
