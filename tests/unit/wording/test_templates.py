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

from schemas.codes import SUBCODES, Category, DeliveryChannel, Language, Moment
from services.runtime import private_link
from services.wording.signature import Signature
from services.wording.sms_text import GSM_7BIT, segments
from services.wording.templates import FIELDS, Saying, Templates, WrongTemplate, as_line, as_name, as_paragraphs
from tests.unit.notifier.tickets import NOON

NUMBER = "2611-0042175"
LINK = private_link.sample("https://care.example.cn")
WORDS = {
    Language.ZH: "我们重新核对了分拨中心的监控录像" * 9,
    Language.EN: "We looked at what the hub's camera shows, " * 9,
}
BY = NOON + timedelta(hours=48)
AMOUNTS = ("", "1280.50 CNY")
CODES = [str(c.value) for c in Category] + [f"{c.value}.{sub}" for c in Category for sub in SUBCODES[c]]
FACTS: list[tuple[Moment, dict[str, Any]]] = [
    *((Moment.RECEIVED, {"category": code, "answer_by": by}) for code in CODES for by in (BY, None)),
    *(
        (Moment.FOLLOW_UP_RECEIVED, {"category": code, "answer_by": by, "reopened": reopened})
        for code, by, reopened in product((*CODES, ""), (BY, None), (True, False))
    ),
    *((Moment.ASKED_FOR_MORE, {"what": what}) for what in ("details", "photos", "proof_of_value", "x_unknown", "")),
    *(
        (Moment.IN_PROGRESS, {"about": about, "due_at": BY, "after_wait": wait, "reopened": False})
        for about, wait in product(("answer", "resolution"), (True, False))
    ),
    *(
        (Moment.IN_PROGRESS, {"about": "answer", "due_at": by, "after_wait": False, "reopened": True})
        for by in (BY, None)
    ),
    *(
        (Moment.ANSWERED, {"remedy": remedy, "amount": amount, "resolve_by": by})
        for remedy, amount, by in product(("redeliver", "apology", "x_unknown", ""), AMOUNTS, (BY, None))
    ),
    *(
        (Moment.RESOLVED, {"outcome": outcome, "amount": amount})
        for outcome, amount in product(("refunded", "refund", "explained", "x_unknown", ""), AMOUNTS)
    ),
    (Moment.APPEAL_RECEIVED, {}),
    *(
        (Moment.APPEAL_DECIDED, {"changed": changed, "remedy": remedy, "amount": amount})
        for changed, remedy, amount in product((True, False), ("compensation", "explain", "x_unknown", ""), AMOUNTS)
    ),
    *((Moment.SURVEY, {"attempt": attempt}) for attempt in (1, 2, 3)),
    *((Moment.APOLOGY, {"spoken_by": tier}) for tier in ("agent", "supervisor", "regional_head")),
    *(
        (Moment.BREACHED_APOLOGY, {"about": about, "due_at": BY, "tier": tier})
        for about, tier in product(("answer", "resolution"), ("agent", "supervisor", "regional_head"))
    ),
]


SIGNATURE = Signature(sender={Language.ZH: "快递客户服务", Language.EN: "Parcel Customer Care"})


def said(
    moment: Moment,
    facts: Mapping[str, Any],
    language: Language,
    zone: str = "Asia/Shanghai",
    *,
    words: str = "",
    link: str = "",
) -> Saying:
    return Saying(moment, language, zone, {"number": NUMBER, **facts}, words=words, link=link)


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates.load(SIGNATURE)


def test_every_moment_is_tried() -> None:
    """No template goes unseen by these tests."""
    assert {moment for moment, _ in FACTS} == set(Moment) == set(FIELDS)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("moment", "facts"), FACTS)
def test_every_message_is_plain_whole_and_short(
    templates: Templates, language: Language, moment: Moment, facts: dict[str, Any]
) -> None:
    """It has the number, no code, no hole; an SMS has two segments, with a link or words three, with both four."""
    for words, link in product(("", WORDS[language]), ("", LINK)):
        given = said(moment, facts, language, words=words, link=link)
        sms = templates.render(given, DeliveryChannel.SMS)
        letter = templates.render(given, DeliveryChannel.EMAIL, name="王小明")
        for text in (sms.text, letter.text, letter.subject):
            assert NUMBER in text
            own = text.replace(LINK, "")
            assert not re.search(r"[a-z]_[a-z]|[a-z]\.[a-z]|None|\{|  |[，。：] |（）", own), text
            assert not re.search(r"[，。、：]{2}|\.\.|, ,|,\.", own), text
        has_words = bool(words) and "words" in FIELDS[moment]
        assert (WORDS[language].strip() in letter.text) is has_words
        assert LINK not in sms.text.removesuffix(LINK)
        parts = segments(sms.text, reference=0)
        assert len(parts) <= 2 + has_words + bool(link), f"{len(sms.text)} characters: {sms.text}"
        assert language is Language.ZH or parts[0].data_coding == GSM_7BIT
        assert sms.template == f"{moment}.sms.{language}"
        assert letter.template == f"{moment}.email.{language}"
        assert "王小明" in letter.text
        assert "王小明" not in sms.text


@pytest.mark.parametrize("language", Language)
def test_every_category_and_subcode_has_words(language: Language) -> None:
    """But for those that say that nothing was understood."""
    book = yaml.safe_load(files("services.wording").joinpath("templates", f"{language}.yaml").read_text("utf-8"))
    assert set(book["words"]["category"]) == set(CODES)
    assert {c for c, words in book["words"]["category"].items() if not words} == {"other", "other.unclear"}


def test_times_are_those_of_the_persons_zone(templates: Templates) -> None:
    """Noon in Shanghai is four in the morning in London."""
    facts = {"category": "damage", "answer_by": NOON}
    at_home = templates.render(said(Moment.RECEIVED, facts, Language.ZH), DeliveryChannel.SMS)
    abroad = templates.render(said(Moment.RECEIVED, facts, Language.EN, "Europe/London"), DeliveryChannel.SMS)
    assert "11月23日12:00" in at_home.text
    assert "23 Nov, 04:00" in abroad.text


def test_who_praises_is_thanked_and_not_apologised_to(templates: Templates) -> None:
    """An apology for praise would be absurd; for damage it is owed."""
    praise = templates.render(
        said(Moment.RECEIVED, {"category": "other.praise", "answer_by": BY}, Language.ZH), DeliveryChannel.SMS
    )
    damage = templates.render(
        said(Moment.RECEIVED, {"category": "damage", "answer_by": BY}, Language.ZH), DeliveryChannel.SMS
    )
    assert "谢谢您" in praise.text
    assert "抱歉" not in praise.text
    assert "抱歉" in damage.text


def test_the_hotline_is_told_where_there_is_one(templates: Templates) -> None:
    """And no empty place is left where there is none."""
    facts = {"what": "photos"}
    without = templates.render(said(Moment.ASKED_FOR_MORE, facts, Language.EN), DeliveryChannel.SMS)
    with_one = Templates.load(SIGNATURE.model_copy(update={"hotline": "95300"})).render(
        said(Moment.ASKED_FOR_MORE, facts, Language.EN), DeliveryChannel.SMS
    )
    assert "call" not in without.text
    assert "or call 95300" in with_one.text


def test_a_letter_comes_as_html_with_nothing_unescaped(templates: Templates) -> None:
    """The same paragraphs, and a name cannot carry markup."""
    facts = {"category": "damage", "answer_by": BY}
    letter = templates.render(said(Moment.RECEIVED, facts, Language.EN), DeliveryChannel.EMAIL, name="O'Neil")
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
def test_a_wrong_template_stops_the_start(change: Any, complaint: str) -> None:
    """With a message that says where and what."""
    folder = files("services.wording").joinpath("templates")
    books = {lang: yaml.safe_load(folder.joinpath(f"{lang}.yaml").read_text("utf-8")) for lang in Language}
    wrong = deepcopy(books)
    change(wrong[Language.EN])
    layout = folder.joinpath("letter.html.jinja").read_text("utf-8")
    Templates.from_data(books, layout=layout, signature=SIGNATURE)
    with pytest.raises(WrongTemplate, match=re.escape(complaint)):
        Templates.from_data(wrong, layout=layout, signature=SIGNATURE)


@pytest.mark.parametrize("language", Language)
def test_a_confirmation_is_one_segment_for_almost_every_matter(templates: Templates, language: Language) -> None:
    """It is the message that everybody gets, and in a flood the second segment is half the cost and the time."""
    facts = [{"category": code, "answer_by": BY} for code in CODES]
    sms = [templates.render(said(Moment.RECEIVED, f, language), DeliveryChannel.SMS).text for f in facts]
    longer = [text for text in sms if len(segments(text, reference=1)) > 1]
    assert len(longer) <= len(CODES) // 10, longer


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    ("moment", "facts"),
    [
        (Moment.RECEIVED, {"category": "damage", "answer_by": BY}),
        (Moment.ASKED_FOR_MORE, {"what": "photos"}),
        (Moment.ANSWERED, {"remedy": "refund", "amount": "", "resolve_by": None}),
        (Moment.RESOLVED, {"outcome": "refunded", "amount": ""}),
        (Moment.APPEAL_RECEIVED, {}),
        (Moment.APPEAL_DECIDED, {"changed": True, "remedy": "refund", "amount": ""}),
        (Moment.SURVEY, {"attempt": 1}),
        (Moment.APOLOGY, {"spoken_by": "agent"}),
    ],
)
def test_what_can_be_acted_on_leads_to_where(
    templates: Templates, moment: Moment, facts: dict[str, Any], language: Language
) -> None:
    """At the end of an SMS, and as one link in a letter."""
    given = said(moment, facts, language, link=LINK)
    assert templates.render(given, DeliveryChannel.SMS).text.endswith(LINK)
    letter = templates.render(given, DeliveryChannel.EMAIL)
    assert letter.text.count(LINK) == 1
    assert f'<a href="{LINK}">{LINK}</a>' in letter.html


def test_an_apology_says_who_apologises(templates: Templates) -> None:
    """In other words for each tier."""
    texts = {
        tier: templates.render(said(Moment.APOLOGY, {"spoken_by": tier}, Language.ZH), DeliveryChannel.SMS).text
        for tier in ("agent", "supervisor", "regional_head")
    }
    assert "我是区域负责人" in texts["regional_head"]
    assert "我是客服主管" in texts["supervisor"]
    assert len(set(texts.values())) == 3


@pytest.mark.parametrize(("language", "expected"), [(Language.ZH, "¥1,280.50"), (Language.EN, "CN¥1,280.50")])
def test_an_amount_is_written_as_people_write_it(templates: Templates, language: Language, expected: str) -> None:
    """In the person's language."""
    facts = {"remedy": "compensation", "amount": "1280.5 CNY", "resolve_by": None}
    assert expected in templates.render(said(Moment.ANSWERED, facts, language), DeliveryChannel.SMS).text


def test_words_are_text_and_nothing_else(templates: Templates) -> None:
    """Markup and template marks are shown as they were written; what cannot be seen is left out."""
    words = "<b>{{ number }}</b>\u202e\x00 &\tmore\r\n\n\n\nSecond"
    given = said(Moment.APOLOGY, {"spoken_by": "agent"}, Language.EN, words=words)
    letter = templates.render(given, DeliveryChannel.EMAIL)
    assert "<b>{{ number }}</b> & more\n\nSecond" in letter.text
    assert "&lt;b&gt;{{ number }}&lt;/b&gt; &amp; more" in letter.html
    assert '"<b>{{ number }}</b> & more Second"' in templates.render(given, DeliveryChannel.SMS).text


@pytest.mark.parametrize(
    ("given", "length_max", "expected"),
    [("a b", 3, "a b"), ("abcd", 3, "ab…"), ("a bcd", 3, "a…"), ("一\n二\t三", 9, "一 二 三"), (" \u200b\n", 3, "")],
)
def test_an_sms_has_the_beginning_of_the_words(given: str, length_max: int, expected: str) -> None:
    """In one line; an ellipsis says that there is more."""
    assert as_line(given, length_max=length_max) == expected


def test_paragraphs_stay_paragraphs() -> None:
    """With one empty line between them."""
    assert as_paragraphs("\n a  b \nc\n\n \n\nd\n") == "a b\nc\n\nd"
