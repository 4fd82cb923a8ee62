"""Tokens in the forms of a private page: they belong to its link, so that no other page can make a form that counts."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer

from services.portal.actions import Act

_CHARACTERS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it was shown."""

    number: str
    """Its own: what is done with it twice is done once."""
    reply: int
    """Event number of the answer that the page showed; 0 for none."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was asked for with a form."""

    act: Act
    commands: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class LinkHolder:
    """Whom a link was made for."""

    ticket_id: UUID
    complaint_id: UUID
    made_at: datetime


class Tokens:
    """Makes and reads them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def form(self, holder: LinkHolder, *, reply: int, number: str | None = None) -> str:
        """A form's token; a new number unless it is shown again."""
        return self._sign(holder, "form", [number or secrets.token_urlsafe(12), reply])

    def read_form(self, token: str, holder: LinkHolder) -> Form | None:
        """The form; None when the token is none of this link's."""
        match self._read(holder, "form", token):
            case [str(number), int(reply)]:
                return Form(number, reply)
            case _:
                return None

    def done(self, holder: LinkHolder, act: Act, commands: Sequence[UUID]) -> str:
        """For the address of the page that tells what became of it."""
        return self._sign(holder, "done", [act.value, *(command.hex for command in commands)])

    def read_done(self, token: str, holder: LinkHolder) -> Done | None:
        """What was done; None when the token is none of this link's."""
        match self._read(holder, "done", token):
            case [str(act), *commands] if commands:
                return Done(Act(act), tuple(UUID(hex=command) for command in commands))
            case _:
                return None

    def _sign(self, holder: LinkHolder, kind: str, value: list[Any]) -> str:
        return str(self._serializer(holder, kind).dumps(value))

    def _read(self, holder: LinkHolder, kind: str, token: str) -> Any:
        if len(token) > _CHARACTERS_MAX:
            return None
        try:
            return self._serializer(holder, kind).loads(token)
        except BadSignature:
            return None

    def _serializer(self, holder: LinkHolder, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._secret,
            salt=f"amends/portal/{kind}/{holder.ticket_id}/{holder.complaint_id}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
        )
