"""What the notifier relies on, of gateways: the fake and the real ones against the sandbox."""

import asyncio
import base64
import itertools
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import ClassVar
from uuid import uuid4

import dkim
import httpx
import pytest
import smpp34
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.stack import Stack
from schemas.codes import DeliveryChannel, Language
from services.notifier.gateway import (
    Envelope,
    Gateway,
    Later,
    LookupFailed,
    NotTaken,
    OnReceipt,
    Outcome,
    Receipt,
    Refused,
    Taken,
    Unanswerable,
    Unsure,
)
from services.notifier.lookup import HttpLookup, NoLookup
from services.notifier.smpp_gateway import SmppAccount, SmppGateway, read_receipt
from services.notifier.smtp_gateway import SmtpAccount, SmtpGateway, compose
from services.runtime.readiness import Readiness
from services.wording.templates import Rendered
from tests.contract.virtual_time import in_virtual_time
from tests.simulation.aims import Aims
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.network import Mishap, Way
from tests.simulation.provider import Provider, Whim

LETTER = Rendered("received.email.en", "Hello,\n\nWe have it.\n", "We have it (no. 1)", "<p>We have it.</p>")
_numbers = itertools.count(70_000_000)


@dataclass
class Bench:
    """A gateway and the sandbox behind it."""

    gateway: Gateway
    receipts: asyncio.Queue[Receipt]
    address: Callable[[], str]
    http: httpx.AsyncClient

    def envelope(self, text: str = "您好", address: str | None = None) -> Envelope:
        rendered = LETTER if self.channel == "email" else Rendered("t", text)
        return Envelope(uuid4(), address or self.address(), rendered, Language.EN)

    async def send(self, envelope: Envelope) -> Outcome:
        (outcome,) = await self.send_all([envelope])
        return outcome

    async def send_all(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        return await self.gateway.send(envelopes)

    @property
    def channel(self) -> str:
        return self.gateway.channel.value

    async def behave(self, mode: str, to: str, **more: float) -> None:
        rule = {"channel": self.channel, "mode": mode, "to_prefix": to, **more}
        (await self.http.post("/behaviour", json=rule)).raise_for_status()

    async def received(self, envelope: Envelope) -> list[dict[str, object]]:
        found = await self.http.get("/messages", params={"out_id": str(envelope.notification_id)})
        return list(found.json())

    def hear(self, on_receipt: OnReceipt) -> None:
        self.gateway._on_receipt = on_receipt  # type: ignore[attr-defined]


@asynccontextmanager
async def real_bench(channel: str, stack: Stack) -> AsyncIterator[Bench]:
    """A real gateway."""
    receipts: asyncio.Queue[Receipt] = asyncio.Queue()
    lookup = HttpLookup(f"{stack.addresses.sandbox}/messages")
    gateway: SmppGateway | SmtpGateway
    if channel == "sms":
        host, _, port = stack.addresses.smpp.rpartition(":")
        account = SmppAccount(host=host, port=int(port), system_id=f"c{uuid4().hex[:6]}", patience_s=2)
        gateway = SmppGateway(account, on_receipt=_put_into(receipts), lookup=lookup, readiness=Readiness())
    else:
        host, _, port = stack.addresses.smtp.rpartition(":")
        mail = SmtpAccount(host=host, port=int(port), sender="care@amends.example")
        gateway = SmtpGateway(mail, lookup=lookup, now=lambda: datetime.now(UTC))
    await gateway.start()
    async with httpx.AsyncClient(base_url=stack.addresses.sandbox, timeout=30) as http:
        yield Bench(gateway, receipts, _address(channel), http)
    await gateway.stop()
    await lookup.close()


class SimulatedBench(Bench):
    """The simulation's gateway and provider."""

    WHIMS: ClassVar = {
        "refuse": Whim.REFUSES,
        "throttle": Whim.DELAYS,
        "drop_receipts": Whim.LOSES_RECEIPT,
        "undeliverable": Whim.FAILS,
    }
    MISHAPS: ClassVar = {"hang_up": Mishap.LOST, "take_and_hang_up": Mishap.UNANSWERED}

    def __init__(self, channel: str, loop: VirtualLoop) -> None:
        way = Way(loop, random.Random(1), (0.01, 0.3), patience_s=2.0)
        self.provider = Provider(loop, way, DeliveryChannel(channel), receipts=channel == "sms")
        self.receipts = asyncio.Queue()
        self.address = _address(channel)
        self._rules: dict[str, str] = {}
        Process(loop, "notifier")._context.run(self._connect)

    def _connect(self) -> None:
        self.gateway = self.provider.connect(_put_into(self.receipts), Aims())

    async def send_all(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        rules = [self._rules.get(e.address, "accept") for e in envelopes]
        self.provider.whims = [self.WHIMS.get(rule) for rule in rules]  # type: ignore[misc]
        for mishap in {self.MISHAPS[rule] for rule in rules if rule in self.MISHAPS}:
            self.provider.way.expect(mishap, after=0)
        return await super().send_all(envelopes)

    async def behave(self, mode: str, to: str, **_more: float) -> None:
        self._rules[to] = mode

    async def received(self, envelope: Envelope) -> list[dict[str, object]]:
        found = [a for a in self.provider.arrived if a.notification_id == str(envelope.notification_id)]
        return [{"to": a.address, "text": a.text} for a in found]

    def hear(self, on_receipt: OnReceipt) -> None:
        self.provider._accounts[0].on_receipt = on_receipt


Scenario = Callable[[Bench], Awaitable[None]]


def on_each_provider(*channels: str) -> Callable[[Scenario], Callable[..., None]]:
    """A test that holds of the simulated gateway and of the real ones."""

    def both(scenario: Scenario) -> Callable[..., None]:
        @pytest.mark.parametrize("channel", channels)
        @pytest.mark.parametrize("provider", ["simulated", pytest.param("real", marks=pytest.mark.integration)])
        def test(provider: str, channel: str, request: pytest.FixtureRequest) -> None:
            async def on_real(stack: Stack) -> None:
                async with real_bench(channel, stack) as bench:
                    await scenario(bench)

            async def on_simulated(loop: VirtualLoop) -> None:
                await scenario(SimulatedBench(channel, loop))

            if provider == "real":
                asyncio.run(on_real(request.getfixturevalue("stack")))
            else:
                in_virtual_time(on_simulated)

        test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__  # type: ignore[attr-defined]
        return test

    return both


@pytest.fixture(params=["sms", "email"])
async def bench(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Bench]:
    """Each real gateway."""
    async with real_bench(request.param, stack) as made:
        yield made


def _put_into(receipts: asyncio.Queue[Receipt]) -> OnReceipt:
    def put(receipt: Receipt, acknowledge: Callable[[bool], None]) -> None:
        receipts.put_nowait(receipt)
        acknowledge(True)

    return put


def _address(channel: str) -> Callable[[], str]:
    if channel == "sms":
        return lambda: f"+86137{next(_numbers)}"
    return lambda: f"p{next(_numbers)}@contract.example"


@on_each_provider("sms", "email")
async def test_a_message_is_taken_and_can_be_asked_for(bench: Bench) -> None:
    """Under our own id, once."""
    envelope = bench.envelope()
    gateway: Gateway = bench.gateway
    assert isinstance(await gateway.lookup(envelope.notification_id), NotTaken)
    assert isinstance(await bench.send(envelope), Taken)
    (got,) = await bench.received(envelope)
    assert got["to"] == envelope.address
    assert isinstance(await gateway.lookup(envelope.notification_id), Taken)


@on_each_provider("sms", "email")
async def test_an_address_that_does_not_exist_is_refused_for_good(bench: Bench) -> None:
    """ESME_RINVDSTADR, 550."""
    envelope = bench.envelope()
    await bench.behave("refuse", envelope.address)
    assert isinstance(await bench.send(envelope), Refused)
    assert isinstance(await bench.send(bench.envelope()), Taken)


@on_each_provider("sms", "email")
async def test_a_provider_that_is_busy_says_later(bench: Bench) -> None:
    """ESME_RTHROTTLED until our patience ends, 451."""
    envelope = bench.envelope()
    await bench.behave("throttle", envelope.address)
    assert isinstance(await bench.send(envelope), Later)
    await bench.behave("accept", envelope.address)
    assert isinstance(await bench.send(envelope), Taken)


@on_each_provider("sms", "email")
async def test_a_connection_that_breaks_after_the_message_is_unsure_and_the_next_goes(bench: Bench) -> None:
    """Taken, but nobody said so: asking tells, and that it is whole. The gateway connects again by itself."""
    envelope = bench.envelope("您好" * 50)
    await bench.behave("take_and_hang_up", envelope.address, count=1)
    outcome = await bench.send(envelope)
    assert isinstance(outcome, Unsure)
    found = await bench.gateway.lookup(envelope.notification_id)
    assert isinstance(found, Taken)
    assert found.segments == outcome.segments
    assert isinstance(await bench.send(bench.envelope()), Taken)


@on_each_provider("sms", "email")
async def test_a_message_that_a_broken_connection_kept_back_may_be_sent_again(bench: Bench) -> None:
    """Not taken, though not every protocol lets us know: asking tells."""
    envelope = bench.envelope()
    await bench.behave("hang_up", envelope.address, count=1)
    assert isinstance(await bench.send(envelope), Unsure | Later)
    assert isinstance(await bench.gateway.lookup(envelope.notification_id), NotTaken)
    await bench.behave("accept", envelope.address)
    assert isinstance(await bench.send(envelope), Taken)
    assert len(await bench.received(envelope)) == 1


@on_each_provider("sms", "email")
async def test_a_burst_goes_through_the_window(bench: Bench) -> None:
    """More at once than may be unanswered."""
    envelopes = [bench.envelope() for _ in range(200)]
    assert {type(o) for o in await bench.send_all(envelopes)} == {Taken}


@on_each_provider("sms", "email")
async def test_each_message_has_its_own_outcome(bench: Bench) -> None:
    """One that is refused or put off among many holds up none of them."""
    envelopes = [bench.envelope() for _ in range(5)]
    await bench.behave("refuse", envelopes[1].address)
    await bench.behave("throttle", envelopes[3].address)
    outcomes = await bench.send_all(envelopes)
    assert [type(o) for o in outcomes] == [Taken, Refused, Taken, Later, Taken]
    assert [len(await bench.received(e)) for e in envelopes] == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("bench", ["sms"], indirect=True)
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("件" * 70, 1),
        ("破损" * 60 + "𠮷" * 20, 3),
        ("plain {text} for 5€ " * 12, 2),
        ("We’re sorry", 1),
        ("é" * 160, 1),
    ],
)
async def test_a_text_arrives_whole(bench: Bench, text: str, parts: int) -> None:
    """Chinese, beyond the basic plane, GSM with extension: as the person reads it; a receipt for each segment."""
    envelope = bench.envelope(text)
    taken = await bench.send(envelope)
    assert isinstance(taken, Taken)
    (got,) = await bench.received(envelope)
    assert got["text"] == text.replace("’", "'")
    assert got["parts"] == parts == len(taken.provider_ids)
    receipts = [await asyncio.wait_for(bench.receipts.get(), 60) for _ in range(parts)]
    assert {r.provider_id for r in receipts} == set(taken.provider_ids)
    assert all(r.arrived for r in receipts)


@on_each_provider("sms")
async def test_a_receipt_tells_whether_what_was_taken_arrived(bench: Bench) -> None:
    """By the provider's own id of it."""
    for mode, arrived in (("accept", True), ("undeliverable", False)):
        envelope = bench.envelope()
        await bench.behave(mode, envelope.address)
        taken = await bench.send(envelope)
        assert isinstance(taken, Taken)
        receipt = await asyncio.wait_for(bench.receipts.get(), 60)
        assert receipt == Receipt(taken.provider_ids[0], arrived=arrived)
        assert isinstance(await bench.gateway.lookup(envelope.notification_id), Taken)


@on_each_provider("sms")
async def test_a_receipt_that_was_not_stored_comes_again(bench: Bench) -> None:
    """The provider hears of it that we had no room for it."""
    seen: list[Receipt] = []

    def first_time_not(receipt: Receipt, acknowledge: Callable[[bool], None]) -> None:
        seen.append(receipt)
        acknowledge(len(seen) > 1)
        if len(seen) > 1:
            bench.receipts.put_nowait(receipt)

    bench.hear(first_time_not)
    await bench.send(bench.envelope())
    await asyncio.wait_for(bench.receipts.get(), 60)
    assert seen == [seen[0]] * 2


@pytest.mark.parametrize("bench", ["sms"], indirect=True)
async def test_a_provider_that_does_not_answer_is_not_waited_for_longer_than_a_lease_allows(bench: Bench) -> None:
    """What found no room in the window was never sent, and may be sent later; of the rest nobody knows."""
    bench.gateway._window = asyncio.Semaphore(2)  # type: ignore[union-attr]
    prefix = bench.address()[:-2]
    await bench.behave("delay", prefix, seconds=30)
    envelopes = [bench.envelope(address=f"{prefix}{n:02d}") for n in range(5)]
    async with asyncio.timeout(25):
        outcomes = await bench.gateway.send(envelopes)
    await bench.behave("accept", prefix)
    assert outcomes == [Unsure(), Unsure(), *[Later("provider_slow")] * 3]


async def test_nobody_listening_is_later() -> None:
    """A provider that is away loses nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sms = SmppGateway(
            SmppAccount(host="127.0.0.1", port=port, patience_s=0.2),
            on_receipt=_put_into(asyncio.Queue()),
            lookup=NoLookup(),
            readiness=(readiness := Readiness()),
        )
        mail = SmtpGateway(
            SmtpAccount(host="127.0.0.1", port=port, sender="a@b.example"),
            lookup=HttpLookup(f"http://127.0.0.1:{port}/messages"),
            now=lambda: datetime.now(UTC),
        )
        await sms.start()
        envelope = Envelope(uuid4(), "+8613800138000", Rendered("t", "x"), Language.EN)
        assert await sms.send([envelope]) == [Later("provider_unreachable")]
        assert not readiness.ready
        letter = Envelope(uuid4(), "x@y.example", LETTER, Language.EN)
        assert await mail.send([letter]) == [Later("provider_unreachable")]
        assert await sms.lookup(uuid4()) == Unanswerable()
        with pytest.raises(LookupFailed):
            await mail.lookup(uuid4())
        await sms.stop()


def test_a_simulated_provider_that_is_away_loses_nothing() -> None:
    """Nobody listens, or nobody answers: either is told, nothing arrives, and a question fails."""

    async def scenario(loop: VirtualLoop) -> None:
        bench = SimulatedBench("sms", loop)
        bench.provider.way.depart(1000.0)
        outcomes = [await bench.send(bench.envelope()) for _ in range(20)]
        assert set(outcomes) == {Later("provider_unreachable"), Unsure()}
        with pytest.raises(LookupFailed):
            await bench.gateway.lookup(uuid4())
        assert not bench.provider.arrived

    in_virtual_time(scenario)


def test_a_letter_is_whole_signed_and_the_same_every_time() -> None:
    """Text and HTML, an id of ours, marked as automatic, with a signature that a receiver can check."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    account = SmtpAccount(
        host="x", port=25, sender="care@amends.example", names={Language.ZH: "快递客户服务"}, dkim_key=pem
    )
    rendered = Rendered("t", "您好\n", "您反映的问题已收到", "<p>您好</p>")
    envelope = Envelope(uuid4(), "li@example.com", rendered, Language.ZH)
    octets = compose(envelope, account, date="Mon, 23 Nov 2026 04:00:00 +0000")
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    assert dkim.verify(octets, dnsfunc=lambda *_a, **_k: record)
    assert not dkim.verify(octets.replace(b"text/html", b"text/htm1"), dnsfunc=lambda *_a, **_k: record)
    letter = message_from_bytes(octets, policy=policy.default)
    assert letter["Message-ID"] == f"<{envelope.notification_id}@amends.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Subject"] == "您反映的问题已收到"
    assert "快递客户服务" in letter["From"]
    assert letter.get_body(("plain",)).get_content().strip() == "您好"
    assert letter.get_body(("html",)).get_content().strip() == "<p>您好</p>"
    unsigned = SmtpAccount(host="x", port=25, sender="care@amends.example")
    assert compose(envelope, unsigned, date="d") == compose(envelope, unsigned, date="d")


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        ({"esm_class": 4, "tlvs": [(0x1E, b"m-1\0"), (0x427, b"\x02")]}, Receipt("m-1", arrived=True)),
        ({"esm_class": 4, "tlvs": [(0x1E, b"m-1\0"), (0x427, b"\x05")]}, Receipt("m-1", arrived=False)),
        ({"esm_class": 4, "tlvs": [(0x1E, b"m-1\0"), (0x427, b"\x01")]}, None),
        (
            {
                "esm_class": 4,
                "text": b"id:42 sub:001 dlvrd:001 submit date:2611 done date:2611 stat:DELIVRD err:000 text:",
            },
            Receipt("42", arrived=True),
        ),
        ({"esm_class": 4, "text": b"id:42 sub:001 stat:EXPIRED err:1"}, Receipt("42", arrived=False)),
        ({"esm_class": 4, "text": b"id:42 stat:ACCEPTD"}, None),
        ({"esm_class": 4, "text": b"nonsense"}, None),
        ({"esm_class": 0, "text": b"id:42 stat:DELIVRD"}, None),
    ],
)
def test_receipts_are_read_by_tlv_and_by_text(pdu: dict[str, object], expected: Receipt | None) -> None:
    """Only final words count, and a reply of a customer is no receipt."""
    tlvs = [smpp34.Tlv(tag, value) for tag, value in pdu.get("tlvs", [])]  # type: ignore[attr-defined]
    text = pdu.get("text", b"")
    assert isinstance(text, bytes)
    delivered = smpp34.DeliverSm("a", "b", text, esm_class=int(str(pdu["esm_class"])), tlvs=tlvs)
    assert read_receipt(delivered) == expected
