"""The words."""

import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from importlib.resources import files
from itertools import product
from typing import Any

import pytest
import yaml

from schemas.codes import SUBCODES, Category, Channel, DeliveryChannel, Language, Moment, Severity
from services.notifier.moments import Notice, Person
from services.notifier.policy import NotificationPolicy
from services.notifier.sms_text import GSM_7BIT, segments
from services.notifier.templates import Templates, WrongTemplate, as_name
from tests.unit.notifier.tickets import COMPLAINT, MASKED, NOON, TICKET

NUMBER = "2611-0042175"
BY = NOON + timedelta(hours=48)
CODES = [str(c.value) for c in Category] + [f"{c.value}.{sub}" for c in Category for sub in SUBCODES[c]]
FACTS: list[tuple[Moment, dict[str, Any]]] = [
    *((Moment.RECEIVED, {"category": code, "answer_by": by}) for code in CODES for by in (BY, None)),
    *(
        (Moment.FOLLOW_UP_RECEIVED, {"category": code, "answer_by": by, "reopened": reopened})
        for code, by, reopened in product((*CODES, ""), (BY, None), (True, False))
    ),
    *((Moment.ASKED_FOR_MORE, {"what": what}) for what in ("details", "photos", "proof_of_value", "x_unknown", "")),
    *(
        (Moment.IN_PROGRESS, {"about": about, "due_at": BY, "after_wait": wait})
        for about, wait in product(("answer", "resolution"), (True, False))
    ),
    *(
        (Moment.ANSWERED, {"remedy": remedy, "resolve_by": by})
        for remedy, by in product(("redeliver", "apology", "x_unknown", ""), (BY, None))
    ),
    *((Moment.RESOLVED, {"outcome": outcome}) for outcome in ("refunded", "refund", "explained", "x_unknown", "")),
    *(
        (Moment.BREACHED_APOLOGY, {"about": about, "due_at": BY, "tier": tier})
        for about, tier in product(("answer", "resolution"), ("agent", "supervisor", "regional_head"))
    ),
]


def notice(moment: Moment, facts: Mapping[str, Any], language: Language, zone: str = "Asia/Shanghai") -> Notice:
    person = Person(COMPLAINT, COMPLAINT, MASKED, Channel.WEB, language, zone, NOON)
    return Notice(TICKET, "w:1", moment, TICKET, NOON, person, Severity.NORMAL, {"number": NUMBER, **facts})


@pytest.fixture(scope="module")
def templates(policy: NotificationPolicy) -> Templates:
    return Templates.load(policy)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("moment", "facts"), FACTS)
def test_every_message_is_plain_whole_and_short(
    templates: Templates, language: Language, moment: Moment, facts: dict[str, Any]
) -> None:
    """It has the number, no code, no hole, and an SMS has at most two segments."""
    sms = templates.render(notice(moment, facts, language), DeliveryChannel.SMS)
    letter = templates.render(notice(moment, facts, language), DeliveryChannel.EMAIL, name="王小明")
    for text in (sms.text, letter.text, letter.subject):
        assert NUMBER in text
        assert not re.search(r"[a-z]_[a-z]|[a-z]\.[a-z]|None|\{|  |[，。：] |（）", text), text
        assert not re.search(r"[，。、：]{2}|\.\.|, ,|,\.", text), text
    parts = segments(sms.text, reference=0)
    assert len(parts) <= 2, f"{len(sms.text)} characters: {sms.text}"
    assert language is Language.ZH or parts[0].data_coding == GSM_7BIT
    assert sms.template == f"{moment}.sms.{language}"
    assert letter.template == f"{moment}.email.{language}"
    assert "王小明" in letter.text
    assert "王小明" not in sms.text


@pytest.mark.parametrize("language", Language)
def test_every_category_and_subcode_has_words(language: Language) -> None:
    """But for those that say that nothing was understood."""
    book = yaml.safe_load(files("services.notifier").joinpath("templates", f"{language}.yaml").read_text("utf-8"))
    assert set(book["words"]["category"]) == set(CODES)
    assert {c for c, words in book["words"]["category"].items() if not words} == {"other", "other.unclear"}


def test_times_are_those_of_the_persons_zone(templates: Templates) -> None:
    """Noon in Shanghai is four in the morning in London."""
    facts = {"category": "damage", "answer_by": NOON}
    at_home = templates.render(notice(Moment.RECEIVED, facts, Language.ZH), DeliveryChannel.SMS)
    abroad = templates.render(notice(Moment.RECEIVED, facts, Language.EN, "Europe/London"), DeliveryChannel.SMS)
    assert "11月23日12:00" in at_home.text
    assert "23 Nov, 04:00" in abroad.text


def test_who_praises_is_thanked_and_not_apologised_to(templates: Templates) -> None:
    """An apology for praise would be absurd; for damage it is owed."""
    praise = templates.render(
        notice(Moment.RECEIVED, {"category": "other.praise", "answer_by": BY}, Language.ZH), DeliveryChannel.SMS
    )
    damage = templates.render(
        notice(Moment.RECEIVED, {"category": "damage", "answer_by": BY}, Language.ZH), DeliveryChannel.SMS
    )
    assert "谢谢您" in praise.text
    assert "抱歉" not in praise.text
    assert "抱歉" in damage.text


def test_the_hotline_is_told_where_there_is_one(policy: NotificationPolicy) -> None:
    """And no empty place is left where there is none."""
    facts = {"what": "photos"}
    without = Templates.load(policy).render(notice(Moment.ASKED_FOR_MORE, facts, Language.EN), DeliveryChannel.SMS)
    with_one = Templates.load(policy.model_copy(update={"hotline": "95300"})).render(
        notice(Moment.ASKED_FOR_MORE, facts, Language.EN), DeliveryChannel.SMS
    )
    assert "call" not in without.text
    assert "or call 95300" in with_one.text


def test_a_letter_comes_as_html_with_nothing_unescaped(templates: Templates) -> None:
    """The same paragraphs, and a name cannot carry markup."""
    facts = {"category": "damage", "answer_by": BY}
    letter = templates.render(notice(Moment.RECEIVED, facts, Language.EN), DeliveryChannel.EMAIL, name="O'Neil")
    assert '<html lang="en">' in letter.html
    assert "Dear O&#39;Neil," in letter.html
    assert letter.text.count("\n\n") + 1 == letter.html.count("<p ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("王小明", "王小明"),
        (" Anna-Maria O'Neil ", "Anna-Maria O'Neil"),
        ("阿卜杜拉·买买提", "阿卜杜拉·买买提"),
        ("中奖请点 http://x.cn", None),
        ("call 13800138000", None),
        ("<b>x</b>", None),
        ("a" * 40, None),
        ("", None),
        (None, None),
    ],
)
def test_only_what_looks_like_a_name_is_repeated(given: str | None, expected: str | None) -> None:
    """Nobody can have a text of theirs sent to somebody else's address."""
    assert as_name(given) == expected


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda b: b["moments"]["received"].update(sms="{{ phone }} {{ number }}"), "phone is not declared"),
        (lambda b: b["moments"]["resolved"].update(letter="{{ category }}"), "category is not declared"),
        (lambda b: b["moments"]["received"].update(sms="{% if %}"), "line 1"),
        (lambda b: b["moments"].pop("answered"), "nothing is written for the moment answered"),
        (lambda b: b["moments"]["received"].pop("subject"), "subject"),
        (lambda b: b["moments"].update(nonsense={}), "nonsense"),
        (lambda b: b.update(greeting="Dear {{ phone }}"), "phone is not declared"),
    ],
)
def test_a_wrong_template_stops_the_start(policy: NotificationPolicy, change: Any, complaint: str) -> None:
    """With a message that says where and what."""
    folder = files("services.notifier").joinpath("templates")
    books = {lang: yaml.safe_load(folder.joinpath(f"{lang}.yaml").read_text("utf-8")) for lang in Language}
    wrong = deepcopy(books)
    change(wrong[Language.EN])
    layout = folder.joinpath("letter.html.jinja").read_text("utf-8")
    Templates.from_data(books, layout=layout, policy=policy)
    with pytest.raises(WrongTemplate, match=re.escape(complaint)):
        Templates.from_data(wrong, layout=layout, policy=policy)


@pytest.mark.parametrize("language", Language)
def test_a_confirmation_is_one_segment_for_almost_every_matter(templates: Templates, language: Language) -> None:
    """It is the message that everybody gets, and in a flood the second segment is half the cost and the time."""
    facts = [{"category": code, "answer_by": BY} for code in CODES]
    sms = [templates.render(notice(Moment.RECEIVED, f, language), DeliveryChannel.SMS).text for f in facts]
    longer = [text for text in sms if len(segments(text, reference=1)) > 1]
    assert len(longer) <= len(CODES) // 10, longer
