"""The mail server: SMTP that takes every mail, but for what it was told."""

import asyncio
import time
from email import message_from_bytes, policy
from email.utils import parseaddr
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.sandbox.behaviour import Behaviours, Mode
from deploy.local.sandbox.messages_store import MessagesStore

BOUNCING_DOMAIN = "bounce.example"
_AT_RECIPIENT = frozenset({Mode.REFUSE, Mode.THROTTLE, Mode.HANG_UP})
_AT_DATA = frozenset({Mode.DELAY, Mode.TAKE_AND_HANG_UP})


class MailServer:
    """SMTP on `port` of `host`. The methods named `handle_` are called by aiosmtpd."""

    def __init__(self, *, store: MessagesStore, behaviours: Behaviours, host: str, port: int) -> None:
        self._store = store
        self._behaviours = behaviours
        self._host = host
        self._port = port

    async def run(self) -> None:
        """Serve until cancelled."""
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, hostname="sandbox.example", enable_SMTPUTF8=True, ident="amends sandbox"),
            self._host,
            self._port,
        )
        async with server:
            await server.serve_forever()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer to one recipient."""
        rule = self._behaviours.take("email", address, now=time.monotonic(), modes=_AT_RECIPIENT)
        if rule and rule.mode is Mode.HANG_UP:
            _hang_up(server)
        elif address.lower().endswith(f"@{BOUNCING_DOMAIN}") or (rule and rule.mode is Mode.REFUSE):
            return "550 5.1.1 No such mailbox"
        elif rule:
            return "451 4.7.1 Too many messages, come again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail for every recipient."""
        mail = message_from_bytes(cast("bytes", envelope.content), policy=policy.default)
        body = mail.get_body(preferencelist=("plain", "html"))
        rules = [self._behaviours.take("email", to, now=time.monotonic(), modes=_AT_DATA) for to in envelope.rcpt_tos]
        for to in envelope.rcpt_tos:
            self._store.add_email(
                to=to,
                sender=parseaddr(str(mail["From"] or ""))[1] or envelope.mail_from or "",
                subject=str(mail["Subject"] or ""),
                text=body.get_content().replace("\r\n", "\n").rstrip() if body else "",
                out_id=parseaddr(str(mail["Message-ID"] or ""))[1].partition("@")[0],
            )
        await self._store.kept()
        for rule in rules:
            if rule and rule.mode is Mode.TAKE_AND_HANG_UP:
                _hang_up(server)
            elif rule:
                await asyncio.sleep(rule.seconds)
        return "250 2.0.0 OK"


def _hang_up(server: SMTP) -> None:
    cast("asyncio.Transport", server.transport).abort()
