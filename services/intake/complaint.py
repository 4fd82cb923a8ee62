"""What a caller may send as a complaint, and the rules it is held to. Pure: the time and the zones are passed in.

`read_json` turns bytes into plain values and refuses what is no well-formed JSON; `check` turns plain values into a
`Complaint` or into every problem at once.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from schemas.codes import Channel, Language, Role, Source, SpecialIdentity
from schemas.text import is_seen
from services.intake.problems import Problem, problem

DESCRIPTION_CHARACTERS_MAX: Final = 20_000
WAYBILLS_MAX: Final = 200
EVIDENCE_MAX: Final = 20
FUTURE_MAX: Final = timedelta(minutes=5)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
HOME_REGION: Final = "CN"
"""Whose phone numbers may be written without a country code."""

# Controls other than tab and line ends, and the characters that reorder a line on a screen (Unicode UAX #9): a name
# written with them reads as another one.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_BROKEN: Final = re.compile("[\ud800-\udfff]")
# Most complainants give a mobile number at home. The library's own pattern knows it 50 times faster than its parser.
_HOME: Final = phonenumbers.PhoneMetadata.metadata_for_region(HOME_REGION)
assert _HOME is not None
assert _HOME.mobile is not None
_HOME_MOBILE: Final = re.compile(str(_HOME.mobile.national_number_pattern))
_HOME_CODE: Final = f"+{phonenumbers.country_code_for_region(HOME_REGION)}"
_CODE: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$"
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")


class MalformedJson(ValueError):  # noqa: N818  # said of the body
    """A body that is no JSON object. `code` is a key of the problems' wording."""

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the rules need to know beside the complaint."""

    now: datetime
    zones: Mapping[Channel, ZoneInfo] = field(default_factory=dict)
    """Zones in which a channel's times without offset are meant."""


def _plain(value: str) -> str:
    found = _FORBIDDEN.search(value)
    if found is not None:
        _refuse("forbidden_character", character=f"U+{ord(found.group()):04X}", position=found.start() + 1)
    return value


def _said(value: str) -> str:
    if not is_seen(value):
        _refuse("missing")
    return value


def _moment(value: Any, info: ValidationInfo) -> datetime:
    circumstances = info.context
    assert isinstance(circumstances, Circumstances)
    if not isinstance(value, str):
        _refuse("not_a_time")
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        _refuse("not_a_time")
    if not EARLIEST.year <= at.year <= circumstances.now.year + 1:
        _refuse("time_out_of_range", earliest=EARLIEST.year, latest=circumstances.now.year + 1)
    if at.tzinfo is None:
        zone = circumstances.zones.get(info.data.get("channel"))  # type: ignore[arg-type]  # a refused channel has none
        if zone is None:
            _refuse("time_without_offset")
        at = at.replace(tzinfo=zone)
        if at.utcoffset() != at.replace(fold=1).utcoffset():
            _refuse("time_ambiguous", zone=zone.key)
    at = at.astimezone(UTC)
    if at > circumstances.now + FUTURE_MAX:
        _refuse("time_in_future", now=circumstances.now.isoformat(timespec="seconds"))
    return at


def _phone(value: str, info: ValidationInfo) -> str:
    region = str(info.data.get("region") or "").upper()
    region = region if region in phonenumbers.SUPPORTED_REGIONS else HOME_REGION
    if region == HOME_REGION and _HOME_MOBILE.fullmatch(value):
        return f"{_HOME_CODE}{value}"
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        _refuse("phone_invalid", region=region)
    if not phonenumbers.is_valid_number(number):
        _refuse("phone_invalid", region=region)
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _email(value: str) -> str:
    try:
        address = validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        _refuse("email_invalid")
    if "=?" in address:  # In a header this begins an encoded word, which nobody's address is.
        _refuse("email_invalid")
    return address


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(value: str) -> str:
    if value not in _zone_names():
        _refuse("zone_unknown")
    return value


def _language(value: Any) -> Any:
    return value.replace("_", "-").split("-")[0].lower() if isinstance(value, str) else value


def _code_value(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _upper(value: Any) -> Any:
    return value.replace(" ", "").upper() if isinstance(value, str) else value


def _refuse(code: str, **details: Any) -> NoReturn:
    raise PydanticCustomError(code, "refused", details or None)


PLAIN: Final = AfterValidator(_plain)
Code = Annotated[str, Field(pattern=_CODE)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T09:30:00+08:00"]}),
]
Waybill = Annotated[str, BeforeValidator(_upper), Field(pattern=r"^[A-Z0-9][A-Z0-9-]{4,39}$")]
Place = Annotated[str, BeforeValidator(_upper), Field(pattern=_CODE)]


class _Given(BaseModel):
    # Callers send numbers for numbers that are names (a phone, a waybill).
    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True, coerce_numbers_to_str=True)


class Complainant(_Given):
    """Who complains. At least one of phone, e-mail and WeChat, except on an anonymous internal complaint."""

    name: Annotated[str, Field(max_length=100), PLAIN] | None = None
    region: Annotated[str, Field(max_length=64), PLAIN] | None = Field(
        None, description="Where the person lives. An ISO 3166 code of two letters also tells how a phone number reads."
    )
    phone: Annotated[str, Field(max_length=40), PLAIN, AfterValidator(_phone)] | None = Field(
        None, description="In any common writing; without a country code it is read as one of `region`, else of China."
    )
    email: Annotated[str, Field(max_length=254), PLAIN, AfterValidator(_email)] | None = None
    wechat: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = Field(None, description="WeChat open id.")
    account: Code | None = Field(None, description="Customer number.")
    role: Annotated[Role, BeforeValidator(_code_value)] | None = None
    special_identity: Annotated[SpecialIdentity, BeforeValidator(_code_value)] | None = None
    tier: Code | None = Field(None, description="Customer tier, as the policies name it.")
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = Field(
        "Asia/Shanghai", description="IANA zone of the person, for quiet hours."
    )

    def reachable(self) -> bool:
        """Whether any way to reach the person is known."""
        return bool(self.phone or self.email or self.wechat)


class DeclaredValue(_Given):
    """What the sender declared the goods to be worth."""

    amount: Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=2, allow_inf_nan=False)]
    currency: Annotated[str, BeforeValidator(_upper), Field(pattern=r"^[A-Z]{3}$")] = Field(
        "CNY", description="ISO 4217."
    )


class Complaint(_Given):
    """A complaint as any channel sends it. Only `description` and a way to reach the person are required."""

    channel: Annotated[Channel, BeforeValidator(_code_value)] = Channel.WEB
    source: Annotated[Source, BeforeValidator(_code_value)] = Source.EXTERNAL
    idempotency_key: Annotated[str, Field(pattern=r"^[ -~]{1,255}$")] | None = Field(
        None, description="The channel's own id of the complaint. The header `Idempotency-Key` says the same."
    )
    received_at: Moment | None = Field(None, description="When the network got it; now when left out.")
    occurred_at: Moment | None = None
    occurred_place: Annotated[str, Field(max_length=500), PLAIN] = ""
    complainant: Complainant = Complainant()
    waybills: Annotated[
        tuple[Waybill, ...],
        BeforeValidator(_one_or_many),
        Field(max_length=WAYBILLS_MAX, validation_alias=AliasChoices("waybills", "waybill")),
        AfterValidator(_distinct),
    ] = ()
    places: Annotated[
        tuple[Place, ...], BeforeValidator(_one_or_many), Field(max_length=50), AfterValidator(_distinct)
    ] = Field((), description="Codes of outlets and hubs that the complaint is about.")
    product: Code | None = None
    subject: Annotated[str, Field(max_length=500), PLAIN] = ""
    description: Annotated[
        str, Field(min_length=1, max_length=DESCRIPTION_CHARACTERS_MAX), PLAIN, AfterValidator(_said)
    ] = Field(validation_alias=AliasChoices("description", "text"), description="What happened, in any language.")
    remedy: Annotated[str, Field(max_length=5000), PLAIN] = Field("", description="What the person wants (诉求).")
    evidence: Annotated[
        tuple[UUID, ...], BeforeValidator(_one_or_many), Field(max_length=EVIDENCE_MAX), AfterValidator(_distinct)
    ] = Field((), description="Ids that `POST /v1/evidence` gave.")
    declared_value: DeclaredValue | None = None
    insured: bool | None = None
    case_number: Code | None = Field(None, description="The platform's or regulator's own number of the case.")
    language: Annotated[Language, BeforeValidator(_language)] | None = Field(
        None,
        validation_alias=AliasChoices("language", "lang"),
        description="What the person is answered in; told from the text when left out.",
    )

    def canonical(self) -> bytes:
        """The content: the same however it was written down, and without what the intake adds."""
        return self.model_dump_json(exclude_unset=True, exclude={"idempotency_key"}).encode()


class Checked(NamedTuple):
    """A complaint, or every problem that it has."""

    complaint: Complaint | None
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...]
    """Names of fields that nobody knows; told to the caller, since a misspelt name would else lose what it carries."""
    evidence: tuple[UUID, ...]
    """Ids to look up, also when something else is wrong, so that all problems are told at once."""


_ALIASES: Final = {"waybill", "text", "lang"}
_KNOWN: Final = frozenset(Complaint.model_fields) | _ALIASES
_KNOWN_OF_COMPLAINANT: Final = frozenset(Complainant.model_fields)


def read_json(body: bytes | str) -> dict[str, Any]:
    """The object in a body, without members that are empty.

    Raises:
        MalformedJson: not UTF-8, no JSON, no object, a key twice, NaN or Infinity, nested too deep, too long a number.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8-sig")
    except UnicodeDecodeError as refusal:
        raise MalformedJson("not_utf8", position=str(refusal.start + 1)) from None
    try:
        raw = _DECODER.decode(text)
    except json.JSONDecodeError as refusal:
        raise MalformedJson("not_json", line=str(refusal.lineno), column=str(refusal.colno)) from None
    except RecursionError:
        raise MalformedJson("nested_too_deep") from None
    except MalformedJson:
        raise
    except ValueError:  # Python reads integers of up to 4,300 digits
        raise MalformedJson("number_too_long") from None
    if not isinstance(raw, dict):
        raise MalformedJson("not_an_object")
    return raw


def check(raw: Mapping[str, Any], circumstances: Circumstances) -> Checked:
    """Hold plain values to every rule."""
    given = raw.get("complainant")
    ignored = [name for name in raw if name not in _KNOWN]
    if isinstance(given, dict):
        ignored += [f"complainant.{name}" for name in given if name not in _KNOWN_OF_COMPLAINANT]
    try:
        complaint = Complaint.model_validate(raw, context=circumstances)
    except ValidationError as refusal:
        problems = [
            problem(
                ".".join(str(step) for step in error["loc"]),
                error["type"],
                value=error["input"] if error["type"] != "missing" else None,
                details=error.get("ctx"),
            )
            for error in refusal.errors(include_url=False)
        ]
        if _unreachable(raw):
            problems.append(problem("complainant", "contact_missing"))
        return Checked(None, tuple(problems), tuple(ignored), _evidence_of(raw))
    if complaint.source is not Source.INTERNAL and not complaint.complainant.reachable():
        return Checked(None, (problem("complainant", "contact_missing"),), tuple(ignored), complaint.evidence)
    return Checked(complaint, (), tuple(ignored), complaint.evidence)


def language_of(text: str) -> Language:
    """Chinese when at least a tenth of the letters are Han characters, else English."""
    han = sum(map(len, _HAN.findall(text)))
    return Language.ZH if han and han * 10 >= sum(map(len, _LETTERS.findall(text))) else Language.EN


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedJson("duplicate_key", key=twice)
    # A form that leaves a field open sends an empty string or null: both mean that nothing was said.
    return {name: value for name, value in pairs if value is not None and value != ""}


def _no_number(name: str) -> NoReturn:
    raise MalformedJson("not_a_json_number", number=name)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


def _unreachable(raw: Mapping[str, Any]) -> bool:
    source = raw.get("source")
    if isinstance(source, str) and source.strip().lower() == Source.INTERNAL:
        return False
    complainant = raw.get("complainant", {})
    return isinstance(complainant, dict) and not any(complainant.get(way) for way in ("phone", "email", "wechat"))


def _evidence_of(raw: Mapping[str, Any]) -> tuple[UUID, ...]:
    given = _one_or_many(raw.get("evidence"))
    found = []
    for value in given if isinstance(given, list) else ():
        try:
            found.append(UUID(value))
        except (ValueError, TypeError, AttributeError):
            continue
    return tuple(found[:EVIDENCE_MAX])
