"""What is fuzzed: one function of bytes per border that bytes of strangers cross, and examples to begin with.

A target raises what it is not meant to raise; what it is meant to raise it catches itself. A finding is a file in
`crashes/<target>/`, which `tests/unit/test_fuzz_findings.py` replays.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import smpp34

from schemas.codec import UndecodableMessage, decode, encode
from schemas.codes import Language
from schemas.topics import MESSAGES
from services.intake.complaint import Circumstances, MalformedJson, check, language_of, read_json
from services.intake.evidence import inspect
from services.intake.lines import CsvLines, JsonLines, Lines
from services.notifier.policy import NotificationPolicy
from services.notifier.smpp_gateway import read_receipt
from services.notifier.smpp_session import SmppSession
from services.organisation.directory import WrongOrganisation, organisation
from services.router.classification import classify, extract
from services.runtime.sealing import BrokenKeyring, FileKeyProvider
from services.runtime.written import WrongYaml, read_yaml, told
from services.service_levels.policy import PolicyError, parse_policy
from services.service_levels.rulebook import Rulebook
from services.wording.sms_text import TextTooLong, segments

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
TYPES = sorted(MESSAGES)
TEXTS = [
    "包裹 SF1234567890123 三天没到，电话13812345678，要求赔偿￥200。",
    "My parcel is lost since 2026-11-01!",
    "12315 投诉",
]
COMPLAINT = {
    "complainant": {"phone": "13800138000", "email": "a@example.com"},
    "waybills": ["YT8812345678901"],
    "description": "少了两件",
    "received_at": "2026-11-22T09:30:00+08:00",
    "declared_value": {"amount": "1.5"},
}


@dataclass(frozen=True)
class Target:
    """A border."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    bytes_max: int = 4096


def codec(data: bytes) -> None:
    """The first byte chooses the type, the second what headers there are; the rest is the payload."""
    kind, said, value = data[:1], data[1:2], data[2:]
    headers: list[tuple[str, bytes | None]] = [("ce_type", TYPES[kind[0] % len(TYPES)].encode() if kind else None)]
    if said > b"\x80":
        headers += [("traceparent", value[:55]), ("content-type", value[:20])]
    try:
        message = decode(value, headers).message
    except UndecodableMessage as refusal:
        assert refusal.reason  # this is no test
        refusal.reason.encode()
        return
    again = decode(encode(message).value, encode(message).headers).message
    assert again == message


def codec_seeds() -> list[bytes]:
    """Every golden message."""
    golden = ROOT / "schemas" / "golden"
    return [bytes([n, 0]) + (golden / f"{kind}.json").read_bytes() for n, kind in enumerate(TYPES)]


def complaint(data: bytes) -> None:
    """A body of `POST /v1/complaints`."""
    try:
        raw = read_json(data)
    except MalformedJson:
        return
    found = check(raw, Circumstances(NOW))
    assert (found.complaint is None) == bool(found.problems)
    for one in found.problems:
        json.dumps([one.told(language) for language in Language], ensure_ascii=False).encode()
    if found.complaint:
        found.complaint.canonical()
        language_of(found.complaint.description)


def _lines(reader: Lines, data: bytes) -> Iterator[Any]:
    middle = len(data) // 2
    yield from reader.feed(data[:middle])
    yield from reader.feed(data[middle:])
    yield from reader.end()


def batch(data: bytes) -> None:
    """Lines of `POST /v1/complaints/batch`; the first byte says of which kind."""
    reader: Lines = JsonLines(bytes_max=200) if data[:1] < b"\x80" else CsvLines(bytes_max=200)
    for line in _lines(reader, data[1:]):
        assert (line.values is None) == (line.problem is not None)
        if line.values is not None:
            check(line.values, Circumstances(NOW))


def text(data: bytes) -> None:
    """What somebody complains about."""
    # Half of a surrogate pair is what a broken client sends now and then.
    written = data.decode("utf-8", "surrogateescape" if data[:1] == b"\xed" else "replace")
    assert classify(written) == classify(written)
    extract(written, reference=date(2026, 11, 22))
    language_of(written)
    with contextlib.suppress(TextTooLong):
        segments(written, reference=7)


def _written(data: bytes) -> Any:
    try:
        return read_yaml(data.decode("utf-8", "replace"))
    except WrongYaml as refusal:
        assert refusal.problems  # this is no test
        "\n".join(refusal.problems).encode()
        return None


def sla_policy(data: bytes) -> None:
    """A policy of service levels."""
    written = _written(data)
    if isinstance(written, dict):
        try:
            Rulebook(parse_policy(written))
        except PolicyError as refusal:
            "\n".join(refusal.problems).encode()


def small_policy() -> str:
    """A whole policy that mutations can still reach the end of."""
    return """\
name: small
version: 2
effective_from: 2026-01-01T00:00:00+08:00
default_calendar: always
cancel: [withdrawn]
warnings: [0.5, 0.8]
escalation: {shares: [1.0, 1.5], ladders: [{name: usual, match: {severity: 4, category: [delay.transit]},
                                               levels: [a, b]}]}
calendars:
  always: {tz: UTC, hours: {all: [["00:00", "24:00"]]}}
  office: {tz: Asia/Shanghai, hours: {0-4: [[09:00, "18:00"]]}, public_holidays: CN, holidays: [2026-02-17],
           holidays_yearly: ["01-01"], date_overrides: {2026-02-14: [["10:00", "12:00"]]}}
clocks:
  resolution: {start: {at: opened}, stop: [resolved], pause: [customer_awaited], resume: waiting_over, calendar: owner,
               restart: [reopened], rules: [{name: usual, target: 3 working days}]}
  liability_response: {start: {at: liability_shared}, per: unit, stop: [unit_responded], cancel: closed, calendar: unit,
                       rules: [{name: usual, target: 4h}]}
"""


def notification_policy(data: bytes) -> None:
    """The notifier's policy."""
    from pydantic import ValidationError  # noqa: PLC0415  # beside its one use

    try:
        policy = NotificationPolicy.model_validate(_written(data))
    except ValidationError as refusal:
        "\n".join(told(refusal)).encode()
        return
    for tries in (1, 2, 10_000):
        policy.retry.wait(tries)


def directory(data: bytes) -> None:
    """Departments, people, rules."""
    written = _written(data)
    if isinstance(written, dict):
        try:
            found = organisation(written)
        except WrongOrganisation as refusal:
            "\n".join(refusal.problems).encode()
            return
        for person in found.people:
            person.on_duty(NOW)


DIRECTORY = """\
departments: [{code: outlets, name: 网点, calendar: office}]
units: [{code: NET-1, kind: outlet, name: 一号, calendar: office}]
people: [{id: ann, department: outlets, unit: NET-1, skills: [delay], capacity: 3, time_zone: Asia/Shanghai,
          duty: [{days: [mon], begins: 22:00, ends: "06:00"}]}]
assignment: {rules: [{name: place, when: {category: [delay.transit], severity: [4]}, department: outlets, unit: place},
                     {name: rest, department: outlets}]}
"""


class _Loop(asyncio.AbstractEventLoop):
    """As much of a loop as a session asks for."""

    def time(self) -> float:
        return 0.0

    def __init__(self) -> None:
        self.soon: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.soon.append((callback, args))

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback, args in soon:
            callback(*args)


class _Transport(asyncio.Transport):
    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        assert len(data) >= 16

    def abort(self) -> None:
        pass


def smpp(data: bytes) -> None:
    """What a provider sends in a session."""
    session = SmppSession.__new__(SmppSession)
    loop = _Loop()
    asyncio.events._set_running_loop(loop)
    try:
        session.__init__(on_deliver=_deliver)  # type: ignore[misc]
    finally:
        asyncio.events._set_running_loop(None)
    session.connection_made(_Transport())
    middle = len(data) // 2
    for piece in (data[:middle], data[middle:]):
        session.data_received(piece)
        loop.turn()


def _deliver(pdu: smpp34.DeliverSm, acknowledge: Callable[[bool], None]) -> None:
    read_receipt(pdu)
    acknowledge(True)


def smpp_seeds() -> list[bytes]:
    """A receipt by text, one by TLV, a keep-alive, an answer."""
    receipt = b"id:abc sub:001 dlvrd:001 submit date:2611220200 done date:2611220201 stat:DELIVRD err:000 text:"
    by_text = smpp34.DeliverSm("10690", "13800138000", receipt, esm_class=4, sequence_number=1).encode()
    tlvs = [smpp34.Tlv(0x1E, b"abc\0"), smpp34.Tlv(0x427, b"\2")]
    by_tlv = smpp34.DeliverSm("1", "2", b"", esm_class=4, tlvs=tlvs, sequence_number=2).encode()
    enquire, answer = (
        bytes.fromhex("00000010000000150000000000000003"),
        bytes.fromhex("00000010800000040000000000000001"),
    )
    return [by_text, by_tlv, enquire + answer, by_text + enquire]


def evidence(data: bytes) -> None:
    """An uploaded file."""
    inspect(data, declared="image/jpeg", bytes_max=2048)


def evidence_seeds() -> list[bytes]:
    """How the formats begin."""
    return [
        bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc00011080100010003012200021101031101"),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\x06\0\0\0",
        b"GIF89a\1\0\1\0\0\0\0;",
        b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x0f\0\0\x0f\0\0",
        b"%PDF-1.7\n%%EOF",
        b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    ]


class _Text:
    """A file as far as a keyring reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def exists(self) -> bool:
        return True

    def read_text(self) -> str:
        return self._data.decode()


def keyring(data: bytes) -> None:
    """A file of keys."""
    with contextlib.suppress(BrokenKeyring):
        FileKeyProvider(_Text(data)).keys()  # type: ignore[arg-type]


KEY = "A" * 43 + "="
TARGETS = {
    "codec": Target(codec, codec_seeds),
    "complaint": Target(complaint, lambda: [json.dumps(COMPLAINT, ensure_ascii=False).encode(), b"[]", b'{"a":NaN}']),
    "batch": Target(
        batch,
        lambda: [
            b'\0{"phone":1}\n\n{"description":"x"}\r\n[',
            b"\x01{}\n",
            b"\xff" + '电话,内容,declared_value\n13800138000,"a\nb",1\n,"x'.encode(),
            b"\xffphone;complainant.phone.x\n1;2\n" + "描述".encode("gb18030"),
        ],
    ),
    "text": Target(text, lambda: [one.encode() for one in TEXTS], bytes_max=30_000),
    "sla_policy": Target(sla_policy, lambda: [small_policy().encode()]),
    "notification_policy": Target(
        notification_policy, lambda: [(ROOT / "deploy" / "policies" / "notifications.yaml").read_bytes()], 8192
    ),
    "directory": Target(directory, lambda: [DIRECTORY.encode()]),
    "smpp": Target(smpp, smpp_seeds),
    "evidence": Target(evidence, evidence_seeds),
    "keyring": Target(keyring, lambda: [json.dumps({"current": "k1", "sealing": {"k1": KEY}, "index": KEY}).encode()]),
}
