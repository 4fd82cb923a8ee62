"""Whether a text that a person wrote can be sent, and how it reads on examples. Pure.

A text has fields and conditions: nothing in it can loop, call or reach into anything, so none takes long or says what
it should not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import jinja2
from jinja2 import nodes

from schemas.codes import DeliveryChannel, Language, Moment
from services.runtime import private_link
from services.wording.sms_text import TextTooLong, segments
from services.wording.templates import FIELDS, Rendered, Saying, Templates
from services.wording.texts import Shape, Text

SMS_CHARACTERS_MAX: Final = 1000
"""Of what is written, conditions and all."""
SMS_PARTS_MAX: Final = 4
SUBJECT_CHARACTERS_MAX: Final = 300
LETTER_CHARACTERS_MAX: Final = 10_000
_POSSIBLE: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.CondExpr, nodes.Const, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Tuple, nodes.List,
)  # fmt: skip
_BY: Final = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
_WORDS: Final = MappingProxyType(
    {Language.ZH: "我们重新核对了监控录像，请您放心。", Language.EN: "We looked at what the hub's camera shows."}
)
_EXAMPLES: Final[Mapping[Moment, Sequence[Mapping[str, Any]]]] = MappingProxyType(
    {
        Moment.RECEIVED: (
            {"category": "delay.transit", "answer_by": _BY},
            {"category": "other.praise", "answer_by": None},
        ),
        Moment.FOLLOW_UP_RECEIVED: (
            {"category": "delay.transit", "answer_by": _BY, "reopened": False},
            {"category": "", "answer_by": None, "reopened": True},
        ),
        Moment.ASKED_FOR_MORE: ({"what": "photos"}, {"what": ""}),
        Moment.IN_PROGRESS: (
            {"about": "resolution", "due_at": _BY, "after_wait": False, "reopened": False},
            {"about": "answer", "due_at": _BY, "after_wait": True, "reopened": False},
            {"about": "answer", "due_at": None, "after_wait": False, "reopened": True},
        ),
        Moment.ANSWERED: (
            {"remedy": "refund", "amount": "1280.50 CNY", "resolve_by": _BY},
            {"remedy": "", "amount": "", "resolve_by": None},
        ),
        Moment.RESOLVED: ({"outcome": "refunded", "amount": "1280.50 CNY"}, {"outcome": "", "amount": ""}),
        Moment.APPEAL_RECEIVED: ({},),
        Moment.APPEAL_DECIDED: (
            {"changed": True, "remedy": "compensation", "amount": "1280.50 CNY"},
            {"changed": False, "remedy": "", "amount": ""},
        ),
        Moment.SURVEY: ({"attempt": 1}, {"attempt": 2}),
        Moment.APOLOGY: tuple({"spoken_by": tier} for tier in ("agent", "supervisor", "regional_head")),
        Moment.BREACHED_APOLOGY: (
            {"about": "answer", "due_at": _BY, "tier": "supervisor"},
            {"about": "resolution", "due_at": _BY, "tier": "regional_head"},
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong with a text."""

    part: str
    """`subject` or `body`."""
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """How a text reads; `parts` of an SMS."""

    rendered: Rendered
    parts: int


def examples(templates: Templates, text: Text) -> list[Example]:
    """A text as it reads with much to say, with a link and words of a person, and with little.

    Raises:
        Exception: it cannot be rendered.
    """
    channel = DeliveryChannel.SMS if text.shape is Shape.SMS else DeliveryChannel.EMAIL
    link, found = private_link.sample("https://care.example.cn"), []
    for place, facts in enumerate(_EXAMPLES[text.moment]):
        full = {"words": "" if place else _WORDS[text.language], "link": link if not place else ""}
        said = Saying(text.moment, text.language, "Asia/Shanghai", {"number": "2611-0042175", **facts}, **full)
        rendered = templates.with_text(text).render(said, channel)
        parts = len(segments(rendered.text, reference=0)) if text.shape is Shape.SMS else 0
        found.append(Example(rendered, parts))
    return found


def flaws(templates: Templates, text: Text) -> list[Flaw]:
    """Everything that is wrong with a text; nothing is of one that goes back to what comes with the product."""
    if text.is_packaged:
        return []
    is_sms = text.shape is Shape.SMS
    found = _written("body", text.body, text.moment, SMS_CHARACTERS_MAX if is_sms else LETTER_CHARACTERS_MAX)
    if not is_sms:
        found += _written("subject", text.subject, text.moment, SUBJECT_CHARACTERS_MAX)
    if found:
        return found
    try:
        shown = examples(templates, text)
    except TextTooLong:
        return [Flaw("body", "text_parts", {"parts": 255, "max": SMS_PARTS_MAX})]
    except Exception as error:  # noqa: BLE001  # whatever a template can raise is told to its writer
        return [Flaw("body", "text_unusable", {"message": str(error)[:200]})]
    parts = max(one.parts for one in shown)
    if parts > SMS_PARTS_MAX:
        found.append(Flaw("body", "text_parts", {"parts": parts, "max": SMS_PARTS_MAX}))
    if any("\n" in one.rendered.subject for one in shown):
        found.append(Flaw("subject", "text_lines"))
    if not is_sms and any(not one.rendered.subject for one in shown):
        found.append(Flaw("subject", "text_empty"))
    return found


def _written(part: str, source: str, moment: Moment, characters_max: int) -> list[Flaw]:
    if not source.strip():
        return [Flaw(part, "text_empty")]
    if len(source) > characters_max:
        return [Flaw(part, "text_long", {"max": characters_max})]
    try:
        tree = jinja2.Environment(autoescape=True).parse(source)
    except jinja2.TemplateSyntaxError as error:
        return [Flaw(part, "text_syntax", {"line": error.lineno, "message": error.message or ""})]
    found = []
    if impossible := sorted({type(node).__name__ for node in _all(tree) if not isinstance(node, _POSSIBLE)}):
        found.append(Flaw(part, "text_impossible", {"what": ", ".join(impossible)}))
    allowed = FIELDS[moment]
    # Jinja's own search computes constants on the way, however long `10 ** 10 ** 7` takes.
    names = [node for node in _all(tree) if isinstance(node, nodes.Name)]
    if unknown := sorted({n.name for n in names} - {n.name for n in names if n.ctx != "load"} - allowed):
        details = {"unknown": ", ".join(unknown), "allowed": ", ".join(sorted(allowed))}
        found.append(Flaw(part, "text_field", details))
    return found


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)
