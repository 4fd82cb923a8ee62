"""Letters that cannot be written, and mail servers that do not let us in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from schemas.codes import Language
from services.notifier.gateway import Envelope, Later, Refused
from services.notifier.lookup import NoLookup
from services.notifier.smtp_gateway import SmtpAccount, SmtpGateway
from services.wording.templates import Rendered


@asynccontextmanager
async def answering(*lines: bytes) -> AsyncIterator[int]:
    """A mail server that says these lines, one for the connection and for each command; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line + b"\r\n")
            if not await reader.readline():
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def gateway(port: int = 1, **more: Any) -> SmtpGateway:
    account = SmtpAccount(host="127.0.0.1", port=port, sender="care@amends.example", **more)
    return SmtpGateway(account, lookup=NoLookup(), now=lambda: datetime.now(UTC))


def letter(address: str = "li@example.com") -> Envelope:
    return Envelope(uuid4(), address, Rendered("t", "text", "subject", "<p>text</p>"), Language.EN)


@pytest.mark.parametrize(
    "lines",
    [
        (b"554 no service here",),
        (b"220 here", b"250-here\r\n250 AUTH PLAIN", b"535 5.7.8 wrong credentials"),
    ],
)
async def test_who_does_not_let_us_in_is_asked_later(lines: tuple[bytes, ...]) -> None:
    """It says nothing about the address: nobody is given up because a password has run out."""
    async with answering(*lines) as port:
        (outcome,) = await gateway(port, user="amends", password="old").send([letter()])
    assert outcome == Later("provider_unreachable")


async def test_an_address_that_no_header_takes_is_refused_alone() -> None:
    """Its neighbours go their way: here, to a server that is not there."""
    outcomes = await gateway().send([letter("=?utf-8?q??=@example.com"), letter()])
    assert outcomes == [Refused("address_not_valid"), Later("provider_unreachable")]


async def test_a_wrong_key_is_a_matter_of_mending_it() -> None:
    """Nothing is wrong with the address."""
    (outcome,) = await gateway(dkim_key=b"no key").send([letter()])
    assert outcome == Later("not_composed")
