"""The form of each command: which fields it has, what stands in them at first, and what a person wrote in them. Pure.

A new command is a line in `FORMS`. The fields are those of the command's model, by the same names; a test says so.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol
from uuid import UUID, uuid5

from pydantic import ValidationError

from schemas.codes import SUBCODES, ApologyTier, Category, Channel, Clock, Demand, Language, RiskFlag, Severity
from schemas.notes import TEXT_MAX, WHYS_MAX
from schemas.text import is_seen, seen
from schemas.ticket import Ticket
from services.desk.accounts import Wrong
from services.desk.commanding import Asked
from services.desk.wording import WORDS


class Kind(StrEnum):
    """How a field is asked for."""

    CODE = "code"
    CHOICE = "choice"
    MANY = "many"
    MONEY = "money"
    DATE = "date"
    YES = "yes"
    IDS = "ids"
    SHARES = "shares"
    TICKET = "ticket"
    TASK = "task"
    """One of the ticket's corrective actions."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    `section` of the words says what its options are called; of a code, which part of the directory knows it.
    """

    name: str
    kind: Kind = Kind.CODE
    section: str = ""
    options: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """What a command asks for, beside a note, which every command may have."""

    fields: tuple[Field, ...] = ()
    reasons: tuple[str, ...] = ()
    """Codes to choose from."""
    needs_reason: bool = False
    """A reason or a note must be given."""
    needs_note: bool = False
    needs_answer: bool = False
    """A remedy, an amount or words to the complainant must be given."""
    whys: bool = False
    is_heard: bool = False
    """Words of one's own go to the complainant."""


class Given(Protocol):
    """What was sent: as Starlette's `FormData`."""

    def get(self, key: str, /) -> Any:
        """The last value."""

    def getlist(self, key: str, /) -> Sequence[Any]:
        """All values."""


MATTERS: Final = tuple(
    code for category in Category for code in (category.value, *(f"{category}.{sub}" for sub in SUBCODES[category]))
)
CURRENCIES: Final = ("CNY", "HKD", "USD", "EUR")


def _choice(name: str, section: str, *, required: bool = False) -> Field:
    return Field(name, Kind.CHOICE, section, tuple(WORDS[section]), required)


_SEVERITIES: Final = tuple(str(int(severity)) for severity in Severity)
_DEPARTMENT: Final = Field("department", section="department")
_UNIT: Final = Field("unit", section="unit")
_PLACE: Final = (_DEPARTMENT, _UNIT)
_EVIDENCE: Final = Field("evidence", Kind.IDS)
_REMEDY: Final = _choice("remedy", "remedy")
_AMOUNT: Final = Field("amount", Kind.MONEY)
_AMOUNT_REQUIRED: Final = Field("amount", Kind.MONEY, required=True)
_TASK: Final = Field("corrective_action", Kind.TASK, required=True)
_PLAIN: Final = Form()

FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "start_review": _PLAIN,
        "complete_review": Form(
            (
                Field("primary", Kind.CHOICE, "matter", MATTERS),
                Field("secondary", Kind.MANY, "matter", MATTERS),
                Field("demand", Kind.MANY, "demand", tuple(d.value for d in Demand)),
                Field("severity", Kind.CHOICE, "severity", _SEVERITIES),
                Field("flags", Kind.MANY, "flag", tuple(f.value for f in RiskFlag)),
            )
        ),
        "link_as_repeat": Form((Field("to_ticket", Kind.TICKET, required=True),)),
        "assign": Form((*_PLACE, Field("person", section="person"))),
        "hand_over": Form((Field("department", section="department", required=True), _UNIT)),
        "return_to_centre": Form(reasons=("not_ours", "other_unit", "facts_missing"), needs_reason=True),
        "first_action": _PLAIN,
        "record_findings": Form(
            (_choice("cause", "cause", required=True), Field("responsible_unit", section="unit"), _EVIDENCE), whys=True
        ),
        "add_evidence": Form((Field("evidence", Kind.IDS, required=True),)),
        "add_note": Form(needs_note=True),
        "share_liability": Form((Field("shares", Kind.SHARES, required=True),)),
        "respond": Form((Field("unit", section="unit", required=True),)),
        "estimate_loss": Form((Field("loss", Kind.MONEY, required=True),)),
        "answer": Form((_REMEDY, _AMOUNT), needs_answer=True, is_heard=True),
        "approve": _PLAIN,
        "refuse_approval": Form(reasons=("amount_too_high", "facts_missing", "not_at_fault"), needs_reason=True),
        "delegate_approval": Form((Field("to", section="person", required=True),)),
        "accept": _PLAIN,
        "appeal": Form(reasons=("not_solved", "new_facts")),
        "decide_appeal": Form((Field("changed", Kind.YES), _REMEDY, _AMOUNT), is_heard=True),
        "resolve": Form((_choice("outcome", "outcome"),), is_heard=True),
        "wait_for_customer": Form((_choice("what", "what", required=True),), is_heard=True),
        "wait_for_third_party": Form((_choice("whom", "whom", required=True),)),
        "resume": _PLAIN,
        "change_severity": Form(
            (Field("severity", Kind.CHOICE, "severity", _SEVERITIES, required=True),),
            reasons=("perishable", "more_serious", "less_serious"),
        ),
        "choose_language": Form((Field("language", Kind.CHOICE, "language", tuple(Language), required=True),)),
        "apologise": Form((Field("tier", Kind.CHOICE, "tier", tuple(ApologyTier), required=True),), is_heard=True),
        "agree_claim": Form((_AMOUNT_REQUIRED,)),
        "record_payment": Form((_AMOUNT_REQUIRED,)),
        "answer_regulator": _PLAIN,
        "record_platform_action": _PLAIN,
        "request_survey": _PLAIN,
        "record_survey": Form((Field("score", Kind.CHOICE, "", ("5", "4", "3", "2", "1"), required=True),)),
        "stop_surveys": _PLAIN,
        "reopen": Form(reasons=("not_solved", "new_facts"), needs_reason=True),
        "plan_corrective_action": Form(
            (Field("owner", section="person", required=True), _UNIT, Field("due_on", Kind.DATE, required=True)),
            needs_note=True,
        ),
        "complete_corrective_action": Form((_TASK,)),
        "verify_corrective_action": Form((_TASK, Field("effective", Kind.YES))),
        "withdraw": Form(reasons=("settled_otherwise", "by_mistake")),
        "close": _PLAIN,
        "archive": Form((_choice("cause", "cause", required=True), _REMEDY)),
    }
)
"""By the name of the command."""


STEPS: Final = (
    "start_review",
    "complete_review",
    "first_action",
    "record_findings",
    "respond",
    "answer",
    "approve",
    "refuse_approval",
    "decide_appeal",
    "resume",
    "resolve",
    "request_survey",
    "close",
)
"""What a ticket goes through in most cases, in this order: buttons that stand out, before all others."""


_OWED_TO: Final[Mapping[str, tuple[Channel, Clock]]] = MappingProxyType(
    {
        "answer_regulator": (Channel.REGULATOR, Clock.STATUTORY_FORWARDED),
        "record_platform_action": (Channel.PLATFORM, Clock.PLATFORM_ACTION),
    }
)
"""Commands that are for complaints of one channel, and for others whose clock a policy runs for them too."""


def offered(names: Iterable[str], channel: Channel, clocks: Collection[Clock]) -> list[str]:
    """Those of the commands that are worth a button on a ticket of that channel with those clocks, steps first."""
    apt = [
        n for n in names if n in FORMS and (n not in _OWED_TO or _OWED_TO[n][0] is channel or _OWED_TO[n][1] in clocks)
    ]
    return sorted(apt, key=lambda name: STEPS.index(name) if name in STEPS else len(STEPS))


@dataclass(frozen=True, slots=True)
class Written:
    """What became of what a person wrote: a command, or everything that is wrong."""

    asked: Asked | None
    problems: list[Wrong] = field(default_factory=list)


def first_values(name: str, ticket: Ticket) -> dict[str, list[str]]:
    """What stands in the fields before anybody has typed."""
    values: dict[str, str | list[str] | None] = {}
    said = ticket.classification
    match name:
        case "assign":
            values = {"department": ticket.department, "unit": ticket.unit, "person": ticket.person}
        case "complete_review" if said is not None:
            values = _confirmed(ticket)
        case "change_severity":
            values = {"severity": str(int(ticket.severity))}
        case "choose_language":
            values = {"language": next(language.value for language in Language if language is not ticket.language)}
        case "record_payment" if ticket.claim is not None:
            values = {"amount": str(ticket.claim.amount), "amount_currency": ticket.claim.currency}
        case "answer" | "decide_appeal" if ticket.remedy:
            values = {"remedy": ticket.remedy}
        case "respond":
            values = {"unit": next((s.unit for s in ticket.shares if not s.has_responded), None)}
        case "share_liability":
            values = {"shares": "\n".join(f"{s.unit} {s.percent}" for s in ticket.shares)}
    return {key: value if isinstance(value, list) else [value] for key, value in values.items() if value}


def typed_values(name: str, given: Given) -> dict[str, list[str]]:
    """What stands in the fields of a form that is shown again: all that was typed."""
    form = FORMS[name]
    keys = [f.name for f in form.fields] + [f"{f.name}_currency" for f in form.fields if f.kind is Kind.MONEY]
    return {
        key: found
        for key in (*keys, "reason", "text", "whys", "for_customer")
        if (found := [v for v in given.getlist(key) if isinstance(v, str)])
    }


def sent_id(form: UUID, name: str, typed: Mapping[str, Sequence[str]]) -> UUID:
    """The command that a form becomes: the same however often it is sent, and another once other words are in it.

    Files do not count: sent again they have other ids.
    """
    content = json.dumps([name, sorted((key, texts) for key, texts in typed.items() if key != "evidence")])
    return uuid5(form, hashlib.sha256(content.encode()).hexdigest())


def written(name: str, given: Given, *, ticket: Ticket, other: Ticket | None, command_id: UUID) -> Written:
    """Read a form.

    Args:
        name: of the command.
        given: what was sent.
        ticket: that it is about, as it is now.
        other: the ticket whose number was typed, where one is asked for.
        command_id: identity of the command, so that a form that is sent twice is one command.
    """
    form = FORMS[name]
    action, problems = _action(name, given, other)
    if name == "complete_review":
        action = {"name": name, **_corrections(action, ticket)}
    note = {key: seen(str(given.get(key) or "").strip()) for key in ("text", "for_customer")}
    whys = [line.strip() for line in str(given.get("whys") or "").splitlines() if is_seen(line)]
    if whys and form.whys:
        action["whys"] = min(len(whys), WHYS_MAX)
    reason = str(given.get("reason") or "")
    problems += _unsaid(form, action, note=note, reason=reason, whys=whys)
    words = {**{key: text for key, text in note.items() if text}, **({"whys": whys} if whys else {})}
    try:
        asked = Asked.model_validate(
            {"action": action, "reason": reason, "note": words or None, "command_id": command_id}
        )
    except ValidationError as error:
        return Written(None, problems + _misread(error, form, {problem.field for problem in problems}))
    return Written(None if problems else asked, problems)


def _action(name: str, given: Given, other: Ticket | None) -> tuple[dict[str, Any], list[Wrong]]:
    """What the fields say, and what is wrong with them."""
    action: dict[str, Any] = {"name": name}
    problems: list[Wrong] = []
    for one in FORMS[name].fields:
        value, code = _READERS[one.kind](one, given)
        if code is None and one.required and value in (None, "", []):
            code = "missing"
        if code is None and one.kind is Kind.TICKET and other is None:
            code = "no_ticket"
        if code:
            problems.append(Wrong(one.name, code))
        elif value not in (None, ""):
            action[one.name] = value
    if name == "link_as_repeat" and other is not None:
        action |= {"to_ticket": other.id, "to_routing_key": other.routing_key}
    return action, problems


def _misread(error: ValidationError, form: Form, told: set[str]) -> list[Wrong]:
    """What the model refuses, of fields that nothing has been said of yet."""
    shown = {field.name for field in form.fields}
    steps = ([str(step) for step in one["loc"]] for one in error.errors())
    names = dict.fromkeys((loc[2] if len(loc) > 2 else loc[0]) for loc in steps if loc)
    found = [Wrong(name if name in shown else "", "invalid") for name in names if name not in told]
    return [one for one in found if one.field] if told else found


def _unsaid(
    form: Form, action: Mapping[str, Any], *, note: Mapping[str, str], reason: str, whys: Sequence[str]
) -> list[Wrong]:
    problems = [Wrong(key, "long") for key, text in note.items() if len(text) > TEXT_MAX]
    if len(whys) > WHYS_MAX:
        problems.append(Wrong("whys", "long"))
    if form.needs_reason and not (reason or note["text"]):
        problems.append(Wrong("reason", "reason"))
    if form.needs_note and not note["text"]:
        problems.append(Wrong("text", "note"))
    if form.needs_answer and not (action.get("remedy") or action.get("amount") or note["for_customer"]):
        problems.append(Wrong("remedy", "answer"))
    return problems


def _confirmed(ticket: Ticket) -> dict[str, str | list[str] | None]:
    said = ticket.classification
    if said is None:
        return {}
    return {
        "primary": f"{said.primary}.{said.sub}" if said.sub else said.primary.value,
        "secondary": [matter.code for matter in said.secondary],
        "demand": [demand.value for demand in said.demand],
        "severity": str(int(ticket.severity)),
        "flags": [flag.value for flag in ticket.flags],
    }


def _corrections(action: Mapping[str, Any], ticket: Ticket) -> dict[str, Any]:
    """What differs from the proposal: what a reviewer confirms is left out of the command."""
    before = _confirmed(ticket)
    changed: dict[str, Any] = {}
    for key in ("primary", "severity"):
        if action.get(key) and action[key] != before.get(key):
            changed[key] = action[key]
    for key in ("secondary", "demand", "flags"):
        if set(action.get(key, ())) != set(before.get(key) or ()):
            changed[key] = action.get(key, [])
    if "primary" in changed:
        changed["primary"] = _matter(changed["primary"])
    if "secondary" in changed:
        changed["secondary"] = [_matter(code) for code in changed["secondary"]]
    if "severity" in changed:
        changed["severity"] = int(changed["severity"])
    return changed


def _matter(code: str) -> dict[str, str | None]:
    category, _, sub = code.partition(".")
    return {"category": category, "sub": sub or None}


_Read = tuple[Any, str | None]
"""The value and, if it cannot be read, a code of `wrong` in the words."""


def _text(one: Field, given: Given) -> str:
    return str(given.get(one.name) or "").strip()


def _code(one: Field, given: Given) -> _Read:
    return _text(one, given) or None, None


def _chosen(one: Field, given: Given) -> _Read:
    value = _text(one, given)
    return (value or None, None) if not value or value in one.options else (None, "choice")


def _many(one: Field, given: Given) -> _Read:
    values = [str(value) for value in given.getlist(one.name)]
    return (values, None) if set(values) <= set(one.options) else (None, "choice")


def _money(one: Field, given: Given) -> _Read:
    value = _text(one, given).replace(",", "")
    if not value:
        return None, None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None, "number"
    if not amount.is_finite() or amount < 0:
        return None, "number"
    return {"amount": amount, "currency": str(given.get(f"{one.name}_currency") or CURRENCIES[0])}, None


def _date(one: Field, given: Given) -> _Read:
    value = _text(one, given)
    try:
        return (date.fromisoformat(value) if value else None), None
    except ValueError:
        return None, "date"


def _yes(one: Field, given: Given) -> _Read:
    return _text(one, given) == "yes", None


def _ids(one: Field, given: Given) -> _Read:
    """Files stand as `uploading.File` writes them: an id, and behind it a name that says nothing."""
    lines = [line for value in given.getlist(one.name) for line in str(value).splitlines() if line.strip()]
    try:
        return [UUID(line.split()[0]) for line in lines], None
    except ValueError:
        return None, "ids"


def _shares(one: Field, given: Given) -> _Read:
    shares: list[dict[str, Any]] = []
    for line in _text(one, given).splitlines():
        unit, _, percent = line.strip().rstrip("%").rpartition(" ")
        if not unit.strip() or not percent.isdecimal():
            return None, "share"
        shares.append({"unit": unit.strip(), "percent": int(percent)})
    units = {share["unit"] for share in shares}
    whole = len(units) == len(shares) >= 2 and sum(share["percent"] for share in shares) == 100
    return (shares, None) if whole or not shares else (None, "shares_sum")


def _task(one: Field, given: Given) -> _Read:
    value = _text(one, given)
    try:
        return (UUID(value) if value else None), None
    except ValueError:
        return None, "choice"


_READERS: Final = MappingProxyType(
    {
        Kind.CODE: _code,
        Kind.CHOICE: _chosen,
        Kind.MANY: _many,
        Kind.MONEY: _money,
        Kind.DATE: _date,
        Kind.YES: _yes,
        Kind.IDS: _ids,
        Kind.SHARES: _shares,
        Kind.TICKET: _code,
        Kind.TASK: _task,
    }
)
