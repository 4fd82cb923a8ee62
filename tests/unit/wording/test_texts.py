"""Texts that people write: which holds when, what is refused, and that none stops a message."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.codes import DeliveryChannel, Language, Moment
from services.wording.checking import SMS_PARTS_MAX, _written, examples, flaws
from services.wording.in_force import Wordings
from services.wording.signature import Signature
from services.wording.templates import Saying, Templates, WrongTemplate
from services.wording.texts import KEYS, Shape, Text, in_force
from tests.unit.notifier.tickets import NOON

PACKAGED = Templates.load(Signature(sender={Language.ZH: "快递客户服务", Language.EN: "Parcel Customer Care"}))
SURVEY = Saying(Moment.SURVEY, Language.EN, "Asia/Shanghai", {"number": "2611-0042175", "attempt": 1})
SMS = DeliveryChannel.SMS


def text(version: int = 1, body: str = "How was it, {{ number }}?", **given: Any) -> Text:
    """The wording of a survey by SMS, in force since noon."""
    fields = {"moment": Moment.SURVEY, "shape": Shape.SMS, "language": Language.EN}
    times = {"effective_at": NOON, "written_at": NOON, "written_by": "m1"}
    return Text.model_validate({**fields, **times, "version": version, "body": body, **given})


def test_every_packaged_text_would_be_taken() -> None:
    """What is asked of those who write holds of what comes with the product."""
    for key in KEYS:
        subject, body = PACKAGED.source(key)
        own = text(**key._asdict(), subject=subject, body=body)
        assert flaws(PACKAGED, own) == [], key
        (first, *_) = examples(PACKAGED, own)
        assert first.rendered.template == own.name


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"body": "   "}, ["text_empty"]),
        ({"body": "{% if number %}"}, ["text_syntax"]),
        ({"body": "{{ phone }} {{ amount }}"}, ["text_field"]),
        ({"body": "{{ secret }}{% for n in range(9) %}x{% endfor %}"}, ["text_impossible", "text_field"]),
        ({"body": "{{ number.__class__ }}"}, ["text_impossible"]),
        ({"body": "{{ 'x' * 1000000 }}"}, ["text_impossible"]),
        ({"body": "{{ number|upper }}"}, ["text_impossible"]),
        ({"body": "{% set number = 1 %}{% include 'x' %}"}, ["text_impossible"]),
        ({"body": "字" * (67 * SMS_PARTS_MAX)}, ["text_parts"]),
        ({"body": "x" * 1001}, ["text_long"]),
        ({"body": "{{ attempt ~ sender > 1 }}"}, ["text_unusable"]),
        ({"shape": Shape.EMAIL, "body": "", "subject": " "}, ["text_empty", "text_empty"]),
        ({"shape": Shape.EMAIL, "body": "b", "subject": "{% if attempt == 2 %}s{% endif %}"}, ["text_empty"]),
        ({"shape": Shape.EMAIL, "body": "b", "subject": "one\ntwo"}, ["text_lines"]),
        ({"body": "", "is_packaged": True}, []),
    ],
)
def test_all_that_is_wrong_is_found(given: dict[str, Any], codes: list[str]) -> None:
    """Before it is kept: nothing that loops, calls, reaches into things or cannot be read on a telephone."""
    assert [flaw.code for flaw in flaws(PACKAGED, text(**given))] == codes


def test_the_version_that_began_last_holds() -> None:
    """Whenever it was written; one that goes back to the packaged text ends the others."""
    versions = [
        text(1),
        text(2, effective_at=NOON + timedelta(days=2)),
        text(3, effective_at=NOON + timedelta(days=1)),
        text(4, effective_at=NOON + timedelta(days=3), is_packaged=True),
    ]

    def version(days: float) -> int | None:
        chosen = in_force(versions, NOON + timedelta(days=days))
        return chosen[versions[0].key].version if chosen else None

    assert [version(days) for days in (-0.1, 0, 0.9, 1, 2, 3)] == [None, 1, 1, 3, 2, None]


def test_a_message_that_was_begun_keeps_its_words() -> None:
    """Those of its version, or the packaged ones; everything else goes in those in force."""
    wordings = Wordings(PACKAGED)
    packaged = wordings.render(SURVEY, SMS, name=None, now=NOON)
    assert packaged == PACKAGED.render(SURVEY, SMS)
    wordings.learn([text(1), text(2, "Well, {{ number }}?", effective_at=NOON + timedelta(hours=1))])
    later = NOON + timedelta(hours=2)
    fresh = wordings.render(SURVEY, SMS, name=None, now=later)
    assert (fresh.template, fresh.text) == ("survey.sms.en@2", "Parcel Customer Care: Well, 2611-0042175?")
    begun = wordings.render(SURVEY, SMS, name=None, now=later, begun="survey.sms.en@1")
    assert "How was it" in begun.text
    assert wordings.render(SURVEY, SMS, name=None, now=later, begun=packaged.template) == packaged
    assert wordings.at(later).render(SURVEY, SMS) == fresh


@pytest.mark.parametrize("body", ["{% if %}", "{{ nobody }}", "{{ attempt > number }}", "{{ ''.__class__.__mro__ }}"])
def test_a_broken_text_stops_no_message(body: str) -> None:
    """However it came into the database: the packaged words are sent, and somebody hears of it each time."""
    heard: list[str] = []
    wordings = Wordings(PACKAGED, on_broken=heard.append)
    wordings.learn([text(7, body)])
    for _ in range(2):
        assert wordings.render(SURVEY, SMS, name=None, now=NOON) == PACKAGED.render(SURVEY, SMS)
    assert heard == ["survey.sms.en@7"] * 2


def test_what_does_not_parse_is_no_template() -> None:
    """It is named with its version."""
    with pytest.raises(WrongTemplate, match=r"survey\.sms\.en@1: sms: line 1"):
        PACKAGED.with_text(text(body="{{"))


@pytest.mark.parametrize("body", ["{{ 10**10000000 }}", "{{ '%1000000000s' % 1 }}", "{{ self }}"])
def test_a_text_is_refused_without_being_computed(body: str) -> None:
    """What would take minutes or gigabytes, or shows what is inside, is told as wrong at once."""
    assert {flaw.code for flaw in _written("body", body, Moment.RECEIVED, 1000)} <= {"text_impossible", "text_field"}
    assert _written("body", body, Moment.RECEIVED, 1000)
