"""The sandbox behaves as real gateways do, and misbehaves as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from itertools import count
from typing import Any

import aiosmtplib
import httpx
import pytest
from smpp34 import Client, DeliverSmEvent, SmppError, Smsc, Tlv

from deploy.local.sandbox import OUT_ID_TAG
from deploy.local.stack import Stack

ACCEPTED, BAD_LENGTH, BAD_DESTINATION, THROTTLED = 0x00, 0x01, 0x0B, 0x58
_numbers = count(13_700_000_000)

CHINESE = "尊敬的客户,您反映的快件破损一事已由上海分拨中心受理,我们将在二十四小时内答复您。😀" * 5


@pytest.fixture
def number() -> str:
    """A phone number that no other test sends to."""
    return str(next(_numbers))


@pytest.fixture
def page(sandbox: str) -> httpx.Client:
    """The sandbox's HTTP surface."""
    return httpx.Client(base_url=sandbox)


@pytest.fixture
async def session(stack: Stack) -> AsyncIterator[Smsc]:
    """A bound session of its own system_id, so that receipts are not another test's."""
    client, bound = await bind(stack)
    yield bound
    await client.stop()


async def bind(stack: Stack, *, system_id: str = "") -> tuple[Client, Smsc]:
    """Bind as `system_id`."""
    host, port = stack.addresses.smpp.split(":")
    client = Client(host, int(port), system_id or f"t{next(_numbers)}", "secret")
    return client, await client.connect()


async def submit(session: Smsc, to: str, text: bytes = b"hello", *, out_id: str = "", **fields: Any) -> int:
    """Send one segment, a receipt wanted; the answer's status."""
    tlvs = [*fields.pop("tlvs", []), *([Tlv(OUT_ID_TAG, out_id.encode())] if out_id else [])]
    fields = {"dest_addr_ton": 0, "registered_delivery": 1, **fields}
    return (await session.submit_sm(to, text, source_addr="1069", tlvs=tlvs, **fields)).command_status


async def receipt(session: Smsc) -> str:
    """The text of the next receipt."""
    event = await asyncio.wait_for(session.next(), 20)
    assert isinstance(event, DeliverSmEvent)
    assert event.esm_class == 4
    return event.short_message.decode()


def told(page: httpx.Client, **rule: object) -> None:
    """Put a rule in force."""
    assert page.post("/behaviour", json=rule).status_code == 200


def received(page: httpx.Client, **query: str) -> list[dict[str, Any]]:
    """What was received."""
    messages: list[dict[str, Any]] = page.get("/messages", params=query).json()
    return messages


async def eventually(condition: Callable[[], object], *, within_s: float = 60) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.02)


async def test_lists_what_a_customer_received_and_sends_a_receipt(
    session: Smsc, page: httpx.Client, number: str
) -> None:
    """An accepted message is listed with the sender's own id; its receipt names the id of the answer."""
    answer = await session.submit_sm(
        number, b"Got it", source_addr="1069", dest_addr_ton=0, registered_delivery=1,
        tlvs=[Tlv(OUT_ID_TAG, b"0190b6f2-0000-7000-8000-000000000001")],
    )  # fmt: skip
    text = await receipt(session)
    assert text.startswith(f"id:{answer.message_id} sub:001 dlvrd:001 submit date:")
    assert " stat:DELIVRD err:000 text:" in text
    (message,) = received(page, out_id="0190b6f2-0000-7000-8000-000000000001", to=number)
    assert (message["channel"], message["to"], message["from"], message["text"]) == ("sms", number, "1069", "Got it")
    await eventually(lambda: received(page, to=number)[0]["receipt"] == "delivered")


def by_header(octets: bytes, number: int, total: int) -> tuple[bytes, dict[str, Any]]:
    """A segment with a user data header."""
    return bytes([5, 0, 3, 42, total, number]) + octets, {"esm_class": 0x40}


def by_tlvs(octets: bytes, number: int, total: int) -> tuple[bytes, dict[str, Any]]:
    """A segment with the TLVs sar_*."""
    return octets, {"tlvs": [Tlv(0x020C, b"\x00\x07"), Tlv(0x020E, bytes([total])), Tlv(0x020F, bytes([number]))]}


@pytest.mark.parametrize("way", [by_header, by_tlvs])
async def test_joins_a_long_chinese_text(
    session: Smsc, page: httpx.Client, number: str, way: Callable[[bytes, int, int], tuple[bytes, dict[str, Any]]]
) -> None:
    """Segments that come in any order are one message; each has its receipt."""
    octets = CHINESE.encode("utf-16-be")
    pieces = [octets[start : start + 134] for start in range(0, len(octets), 134)]
    for index in reversed(range(len(pieces))):
        piece, fields = way(pieces[index], index + 1, len(pieces))
        assert await submit(session, number, piece, data_coding=8, **fields) == ACCEPTED
    (message,) = received(page, to=number)
    assert message["text"] == CHINESE
    assert message["parts"] == len(pieces)
    assert len({await receipt(session) for _ in pieces}) == len(pieces)


async def test_refuses_what_a_real_gateway_refuses(session: Smsc, page: httpx.Client, number: str) -> None:
    """Too long a segment and a number that is none are refused for good."""
    assert await submit(session, number, b"\x00a" * 71, data_coding=8) == BAD_LENGTH
    assert await submit(session, "no number") == BAD_DESTINATION
    assert received(page, to=number) == []


@pytest.mark.parametrize(("mode", "status"), [("refuse", BAD_DESTINATION), ("throttle", THROTTLED)])
async def test_refuses_and_throttles_as_often_as_told(
    session: Smsc, page: httpx.Client, number: str, mode: str, status: int
) -> None:
    """After `count` messages all is well again, and the refused ones were not received."""
    told(page, channel="sms", mode=mode, count=2, to_prefix=number)
    assert [await submit(session, number) for _ in range(3)] == [status, status, ACCEPTED]
    assert len(received(page, to=number)) == 1


async def test_delays_the_answer_not_the_message(session: Smsc, page: httpx.Client, number: str) -> None:
    """A slow gateway has the message long before it says so."""
    told(page, channel="sms", mode="delay", seconds=30, count=1, to_prefix=number)
    answer = asyncio.create_task(submit(session, number))
    await eventually(lambda: received(page, to=number))
    assert not answer.done()
    answer.cancel()


async def test_drops_receipts(session: Smsc, page: httpx.Client, number: str) -> None:
    """The receipt of a marked message never comes; that of the next one does."""
    told(page, channel="sms", mode="drop_receipts", count=1, to_prefix=number)
    assert [await submit(session, number, b"first"), await submit(session, number, b"second")] == [ACCEPTED] * 2
    text = await receipt(session)
    first, second = received(page, to=number)
    assert (first["receipt"], first["text"]) == ("dropped", "first")
    assert second["id"] in text


async def test_reports_what_cannot_be_delivered(session: Smsc, page: httpx.Client, number: str) -> None:
    """An accepted message may fail later; the receipt says so and the list too."""
    told(page, channel="sms", mode="undeliverable", count=1, to_prefix=number)
    assert await submit(session, number) == ACCEPTED
    assert "dlvrd:000" in (text := await receipt(session))
    assert "stat:UNDELIV err:001" in text
    await eventually(lambda: received(page, to=number)[0]["receipt"] == "failed")


@pytest.mark.parametrize(("mode", "taken"), [("hang_up", 0), ("take_and_hang_up", 1)])
async def test_hangs_up(stack: Stack, page: httpx.Client, number: str, mode: str, taken: int) -> None:
    """The connection drops without an answer, before or after the message was taken; binding again works."""
    system_id = f"h{next(_numbers)}"
    _, session = await bind(stack, system_id=system_id)
    told(page, channel="sms", mode=mode, count=1, to_prefix=number)
    with pytest.raises(SmppError):
        await asyncio.wait_for(submit(session, number, out_id=f"{number}-1"), 20)
    assert len(received(page, out_id=f"{number}-1")) == taken
    client, session = await bind(stack, system_id=system_id)
    if taken:
        assert received(page, to=number)[0]["id"] in await receipt(session)
    assert await submit(session, number) == ACCEPTED
    await client.stop()


async def test_a_killed_sandbox_forgets_nothing(own_stack: Callable[..., Stack], number: str) -> None:
    """Messages, and receipts that were still owed, are there after `kill -9`."""
    stack = own_stack("sandbox")
    _, session = await bind(stack, system_id="amends")
    assert await submit(session, number, out_id="n-1") == ACCEPTED
    stack.kill("sandbox")
    stack.restart("sandbox")
    (message,) = received(httpx.Client(base_url=stack.addresses.sandbox), out_id="n-1")
    client, session = await bind(stack, system_id="amends")
    assert message["id"] in await receipt(session)
    await client.stop()


def mail(to: str, *, out_id: str) -> EmailMessage:
    """A mail in two forms."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Care <care@amends.example>", to, "您的投诉已受理"
    message["Message-ID"] = f"<{out_id}@amends.example>"
    message.set_content("我们会在二十四小时内答复您。")
    message.add_alternative("<p>我们会在二十四小时内答复您。</p>", subtype="html")
    return message


async def post(stack: Stack, message: EmailMessage) -> None:
    """Hand it to the mail server."""
    host, port = stack.addresses.smtp.split(":")
    await aiosmtplib.send(message, hostname=host, port=int(port), timeout=20)


async def test_lists_a_mail(stack: Stack, page: httpx.Client, number: str) -> None:
    """A mail is listed with its plain text and the local part of its Message-ID."""
    await post(stack, mail(f"{number}@customer.example", out_id=f"{number}-mail"))
    (message,) = received(page, out_id=f"{number}-mail", channel="email")
    assert message["subject"] == "您的投诉已受理"
    assert message["text"] == "我们会在二十四小时内答复您。"
    assert (message["to"], message["from"]) == (f"{number}@customer.example", "care@amends.example")


async def test_the_mail_server_misbehaves_as_told(stack: Stack, page: httpx.Client, number: str) -> None:
    """Refused for good, refused for now, hung up before and after the mail was taken."""
    to = f"{number}@customer.example"
    for mode, error, taken in (
        ("refuse", aiosmtplib.SMTPRecipientsRefused, 0),
        ("throttle", aiosmtplib.SMTPRecipientsRefused, 0),
        ("hang_up", aiosmtplib.SMTPServerDisconnected, 0),
        ("take_and_hang_up", aiosmtplib.SMTPServerDisconnected, 1),
    ):
        told(page, channel="email", mode=mode, count=1, to_prefix=number)
        with pytest.raises(error):
            await post(stack, mail(to, out_id=f"{number}-{mode}"))
        assert len(received(page, out_id=f"{number}-{mode}")) == taken
    await post(stack, mail(to, out_id=f"{number}-after"))
    assert len(received(page, to=to)) == 2


async def test_the_bouncing_domain_bounces(stack: Stack, number: str) -> None:
    """There is always an address that does not exist."""
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await post(stack, mail(f"{number}@bounce.example", out_id=number))


def test_a_rule_that_makes_no_sense_is_refused(page: httpx.Client) -> None:
    """An unknown mode or field is a 422 that names it."""
    for rule in ({"channel": "sms", "mode": "sulk"}, {"channel": "sms", "mode": "refuse", "cuont": 1}):
        assert page.post("/behaviour", json=rule).status_code == 422
