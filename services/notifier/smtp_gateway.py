"""E-mail by SMTP: connections that are used again, letters in text and HTML, signed when there is a key.

Message-ID is made of our notification id, so that whoever can look into the mail server's log or the mailbox can tell
what was taken. RFC 5321 (SMTP), RFC 3834 (Auto-Submitted), RFC 6376 (DKIM).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from typing import Final
from uuid import UUID

import aiosmtplib
import dkim
from aiosmtplib.errors import SMTPConnectError, SMTPException, SMTPResponseException, SMTPSenderRefused

from schemas.codes import DeliveryChannel, Language
from services.notifier.gateway import Envelope, Later, NotTaken, Outcome, Refused, Taken, Unanswerable, Unsure
from services.notifier.lookup import Lookup
from services.notifier.schedule.now import Now
from services.runtime.dead_letters import place_of
from services.runtime.logging import get_logger

log = get_logger(__name__)

_IDLE_S_MAX: Final = 20.0
"""A connection that was idle for longer may have been closed by the server, and is not used again."""
_PERMANENT: Final = 500
_SIGNED: Final = (
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"auto-submitted",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccount:
    """Which server takes our mail, and in whose name."""

    host: str
    port: int
    sender: str
    """Address that letters come from."""
    names: dict[Language, str] = field(default_factory=dict)
    user: str = ""
    password: str = ""
    tls: bool = False
    starttls: bool | None = None
    """None: when the server offers it."""
    connections: int = 8
    send_s_max: float = 7.0
    """From the wish for a connection to the answer to the letter. Less than half a lease."""
    dkim_key: bytes | None = None
    """PEM of the private key."""
    dkim_selector: str = "amends"

    @property
    def domain(self) -> str:
        """The sender's domain: of Message-ID and of the signature."""
        return self.sender.rpartition("@")[2]


@dataclass(slots=True)
class _Connection:
    client: aiosmtplib.SMTP
    used_at: float


class SmtpGateway:
    """Sends by one mail server."""

    def __init__(self, account: SmtpAccount, *, lookup: Lookup, now: Now) -> None:
        self._account = account
        self._lookup = lookup
        self._now = now
        self._free: list[_Connection] = []
        self._slots = asyncio.Semaphore(account.connections)

    @property
    def channel(self) -> DeliveryChannel:
        """E-mail."""
        return DeliveryChannel.EMAIL

    async def start(self) -> None:
        """Nothing: connections are made when they are needed."""

    async def stop(self) -> None:
        """Close the connections."""
        free, self._free = self._free, []
        for connection in free:
            with contextlib.suppress(SMTPException, OSError):
                await asyncio.wait_for(connection.client.quit(), 1.0)

    async def send(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """See `Gateway`. 4xx and no connection: for now. 5xx: for good. A break after the letter began: unsure."""
        return list(await asyncio.gather(*(self._send(envelope) for envelope in envelopes)))

    async def _send(self, envelope: Envelope) -> Outcome:
        octets = self._composed(envelope)
        if not isinstance(octets, bytes):
            return octets
        refusal, begun = None, False
        try:
            async with asyncio.timeout(self._account.send_s_max), self._connection() as client:
                refusal = await self._address(client, envelope.address)
                if refusal is not None:
                    await client.rset()
                    return refusal
                begun = True
                await client.data(octets)
        except SMTPResponseException as answer:
            # aiosmtplib marks a connection that broke by a negative code.
            if answer.code >= 0:
                return _refusal(answer.code)
        except (SMTPException, OSError):  # a time-out is an OSError, too
            pass
        else:
            return Taken()
        if begun:
            return Unsure()
        return refusal or Later("provider_unreachable")

    def _composed(self, envelope: Envelope) -> bytes | Refused | Later:
        """The letter, or why there is none."""
        try:
            return compose(envelope, self._account, date=format_datetime(self._now()))
        except ValueError:
            return Refused("address_not_valid")
        except Exception as fault:  # noqa: BLE001 - a wrong key, say: its neighbours go, and this one when it is mended
            log.error("smtp.not_composed", error=place_of(fault))  # noqa: TRY400 - its words may quote the letter
            return Later("not_composed")

    async def lookup(self, notification_id: UUID) -> Taken | NotTaken | Unanswerable:
        """See `Gateway`."""
        return await self._lookup.find(notification_id, self.channel)

    async def _address(self, client: aiosmtplib.SMTP, address: str) -> Refused | Later | None:
        """Name sender and recipient; gives why not."""
        options = [] if address.isascii() else ["SMTPUTF8"]
        encoding = "utf-8" if options else "ascii"
        if options and not client.supports_extension("smtputf8"):
            return Refused("address_not_supported")
        try:
            await client.mail(self._account.sender, options=options, encoding=encoding)
            await client.rcpt(address, encoding=encoding)
        except SMTPSenderRefused as answer:
            # A fault of ours, the same for every letter until somebody mends it.
            log.warning("smtp.sender_refused", code=answer.code)
            return Later(f"smtp_sender_{answer.code}")
        except SMTPResponseException as answer:
            return _refusal(answer.code)
        return None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection of our own for a while; one that broke, or is in the middle of something, is not kept."""
        async with self._slots:
            client = await self._take()
            try:
                yield client
            except BaseException:
                client.close()
                raise
            if client.is_connected:
                self._free.append(_Connection(client, time.monotonic()))

    async def _take(self) -> aiosmtplib.SMTP:
        while self._free:
            connection = self._free.pop()
            if connection.client.is_connected and time.monotonic() - connection.used_at < _IDLE_S_MAX:
                return connection.client
            connection.client.close()
        account = self._account
        client = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            username=account.user or None,
            password=account.password or None,
            use_tls=account.tls,
            start_tls=account.starttls,
            timeout=account.send_s_max,
        )
        try:
            await client.connect()
            await client.ehlo()
        except SMTPResponseException as answer:
            # Who does not let us in, at the greeting or at the login, says nothing about an address.
            client.close()
            log.warning("smtp.not_let_in", code=answer.code)
            raise SMTPConnectError(f"not let in: {answer.code}") from answer
        return client


def compose(envelope: Envelope, account: SmtpAccount, *, date: str) -> bytes:
    """The letter as it goes over the wire.

    Raises:
        ValueError: the address cannot stand in a header.
    """
    letter = EmailMessage(policy=SMTP.clone(utf8=not envelope.address.isascii()))
    letter["From"] = formataddr((account.names.get(envelope.language, ""), account.sender))
    try:
        letter["To"] = envelope.address
    except IndexError as error:  # What Python's parser makes of an empty encoded word.
        raise ValueError("the address cannot stand in a header") from error
    letter["Subject"] = envelope.rendered.subject
    letter["Date"] = date
    letter["Message-ID"] = f"<{envelope.notification_id}@{account.domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter["Content-Language"] = envelope.language.value
    letter.set_content(envelope.rendered.text, cte="base64")
    letter.add_alternative(envelope.rendered.html, subtype="html", cte="base64")
    # The boundary, too, follows from the id: the same letter is the same octets.
    letter.set_boundary(f"={envelope.notification_id.hex}")
    octets = letter.as_bytes()
    if account.dkim_key:
        octets = sign(octets, account)
    return octets


def sign(octets: bytes, account: SmtpAccount) -> bytes:
    """With a DKIM signature in front."""
    signature: bytes = dkim.sign(
        octets,
        account.dkim_selector.encode(),
        account.domain.encode(),
        account.dkim_key,
        include_headers=list(_SIGNED),
        canonicalize=(b"relaxed", b"relaxed"),
    )
    return signature + octets


def _refusal(code: int) -> Refused | Later:
    if code < 0:
        return Later("provider_unreachable")
    return Refused(f"smtp_{code}") if code >= _PERMANENT else Later(f"smtp_{code}")
