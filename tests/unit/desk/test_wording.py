"""The words of the pages are whole, and the forms are those of the commands."""

import re
import typing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from string import Formatter

import pytest

from schemas import codes as c
from schemas import commands, lifecycle
from schemas.topics import TICKET_EVENTS
from services.desk import pages
from services.desk.clusters import Window
from services.desk.forms import FORMS, MATTERS
from services.desk.lines import Sort
from services.desk.naming import Names
from services.desk.previewing import Told
from services.desk.queue import Standing
from services.desk.rights import RIGHTS
from services.desk.wording import WORDS, Speaker
from tests.unit.desk.web_scene import every_event, money

ZH, EN = Speaker(c.Language.ZH), Speaker(c.Language.EN, "Europe/London")
ENUMS: dict[str, type[StrEnum]] = {
    "state": c.TicketState,
    "clock": c.Clock,
    "clock_state": c.ClockState,
    "flag": c.RiskFlag,
    "channel": c.Channel,
    "source": c.Source,
    "complainant_role": c.Role,
    "staff_role": c.StaffRole,
    "demand": c.Demand,
    "nature": c.Nature,
    "style": c.CustomerStyle,
    "moment": c.Moment,
    "delivery": c.DeliveryChannel,
    "actor": c.ActorKind,
    "tier": c.ApologyTier,
    "sort": Sort,
    "standing": Standing,
    "tongue": c.Language,
    "window": Window,
}
ACTIONS = {kind.model_fields["name"].default: kind for kind in typing.get_args(typing.get_args(commands.Action)[0])}


def test_every_code_has_words() -> None:
    """In both languages, and no section has a word for what does not exist."""
    for section, codes in ENUMS.items():
        assert set(WORDS[section]) == {code.value for code in codes}, section
    assert set(WORDS["severity"]) == {str(int(one)) for one in c.Severity}
    assert set(WORDS["grade"]) == {str(int(one)) for one in c.Grade}
    assert set(WORDS["matter"]) == set(MATTERS)
    # Of these two the message itself is shown.
    assert set(WORDS["told"]) == set(Told) - {Told.ALWAYS, Told.ONCE_APPROVED}
    assert set(WORDS["command"]) == set(lifecycle.LEGAL)
    entered = {"sign_in", "sign_in_refused", "sign_out", "change_password"}
    assert set(WORDS["act"]) == (set(RIGHTS) - set(lifecycle.LEGAL)) | entered
    assert set(WORDS["event"]) == {kind.TYPE.rpartition(".")[2] for kind in TICKET_EVENTS}


def test_both_languages_say_the_same() -> None:
    """Each phrase is there twice and names the same details."""
    for section, phrases in WORDS.items():
        for key, pair in phrases.items():
            assert [bool(words) for words in pair] == [True, True], (section, key)
            if section != "event":
                named = [{name for _, name, _, _ in Formatter().parse(words) if name} for words in pair]
                assert named[0] == named[1], (section, key)


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.TYPE.rpartition(".")[2])
def test_every_event_is_a_sentence(event: typing.Any) -> None:
    """Nothing is left that a person would have to decode, such as braces, `None` or an enumeration's name."""
    for say in (ZH, EN):
        told = say.event(event, Names())
        assert told.strip().endswith(("。", ".")), told
        assert not re.search(r"None|\{|\[|[A-Z]\w+\.\w+|Decimal", told), told
        assert say.actor(event)


def test_pages_say_what_there_is() -> None:
    """No template asks for a phrase that is not there, and no phrase is left over."""
    root = Path(pages.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in (root / "pages").glob("*.html")]
    asked = {key for text in sources for key in re.findall(r"\bt\('(\w+)'", text)}
    code = "".join(path.read_text(encoding="utf-8") for path in root.glob("*.py"))
    assert asked <= set(WORDS["page"])
    left = {key for key in set(WORDS["page"]) - asked if f'"{key}"' not in code}
    assert left == set()


def test_forms_have_the_fields_of_their_commands() -> None:
    """Every command that a person may give has a form with exactly its fields; a word for each."""
    assert set(FORMS) == set(lifecycle.LEGAL) - lifecycle.INTERNAL
    for name, form in FORMS.items():
        fields = {one.name for one in form.fields} | ({"whys"} if form.whys else set())
        wanted = set(ACTIONS[name].model_fields) - {"name", "to_routing_key"}
        assert fields == wanted, name
        for one in form.fields:
            assert one.name in WORDS["field"], one.name
            assert all(not one.section or code in WORDS[one.section] for code in one.options)
            required = ACTIONS[name].model_fields[one.name].is_required() and one.kind != "yes"
            assert one.required or not required, (name, one.name)
        assert set(form.reasons) <= set(WORDS["reason"])


def test_times_and_amounts_are_the_readers() -> None:
    """In the reader's zone and language."""
    at = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)
    assert (ZH.at(at), EN.at(at)) == ("11月23日 10:05", "23 Nov 02:05")
    assert (ZH.money(money("1234.5")), EN.money(money("1234.5"))) == ("¥1,234.50", "CN¥1,234.50")
    assert (ZH.lasting(90_061), EN.lasting(3_599), EN.lasting(0)) == ("1 天 1 小时", "59 min 59 s", "0 s")
    assert (ZH.listed("甲乙"), EN.listed("ab")) == ("甲和乙", "a and b")
