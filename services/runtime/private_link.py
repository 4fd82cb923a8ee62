"""The link to the page of one complainant: signed, expiring, revocable, and short enough for an SMS. Pure.

    https://<portal>/t/<36 characters>.<16 characters>

Nobody who has not the key can make one: beside a ticket's id, which is unguessable in itself, it has a signature of 96
bits. The same ticket, complaint, generation and time give the same link, so that a message that is sent again is the
same message. Whether a ticket's links were revoked is the reader's to ask (`link_store.py`): one of a generation before
the ticket's own counts no more.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import SigningAlgorithm

PURPOSE: Final = "private link"
"""Which of the keyring's keys signs: `Keyring.key_for`."""
PATH: Final = "/t/"
VALID: Final = timedelta(days=90)
TOKEN_CHARS: Final = 53
COMPLAINT_BYTES: Final = 5
GENERATIONS_MAX: Final = 0xFFFF
_LAYOUT: Final = struct.Struct(f">16s{COMPLAINT_BYTES}sHI")
_SIGNATURE_BYTES: Final = 12


class Unusable(StrEnum):
    """Why a link does not open."""

    INVALID = "invalid"
    """It was not made by us, or damaged on its way."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PrivateLink:
    """What a link says: it is good for this ticket and, of those who complained about it, for one."""

    ticket: UUID
    complaint: bytes
    """The first bytes of the complaint's id, which tell those of one ticket apart."""
    generation: int
    """0 until the ticket's links are revoked."""
    made_at: datetime
    """When what it was sent for happened, to the second."""

    def is_of(self, complaint: UUID) -> bool:
        """Whether it belongs to whoever sent a complaint, of those of its ticket."""
        return self.complaint == complaint.bytes[:COMPLAINT_BYTES]


class PrivateLinks:
    """Makes and reads them with one key."""

    def __init__(self, key: bytes, *, valid: timedelta = VALID) -> None:
        self._valid = valid
        self._signer = Signer(
            key, salt=b"amends", key_derivation="hmac", digest_method=hashlib.sha256, algorithm=_ShortHmac()
        )

    def make(self, ticket: UUID, complaint: UUID, at: datetime, *, generation: int = 0) -> str:
        """The token of a link.

        Args:
            ticket: whose page it opens.
            complaint: of the person who gets it.
            at: aware; the link expires so long after it. Fractions of seconds are dropped.
            generation: the ticket's, 0..65535.
        """
        seconds = int(at.timestamp())
        said = _LAYOUT.pack(ticket.bytes, complaint.bytes[:COMPLAINT_BYTES], generation, seconds)
        return self._signer.sign(base64_encode(said)).decode()

    def read(self, token: str, now: datetime) -> PrivateLink | Unusable:
        """What a token says, or why it is of no use. Whether it was revoked is not known here.

        Args:
            token: anything.
            now: aware.
        """
        if not token.isascii() or len(token) > TOKEN_CHARS:
            return Unusable.INVALID
        # Some telephones take a hyphen at the end of a link for the sentence's, and leave it out.
        try:
            said = base64_decode(self._signer.unsign(token.ljust(TOKEN_CHARS, "-")))
        except BadData:
            return Unusable.INVALID
        ticket, complaint, generation, seconds = _LAYOUT.unpack(said)
        made_at = datetime.fromtimestamp(seconds, UTC)
        if now - made_at >= self._valid:
            return Unusable.EXPIRED
        return PrivateLink(UUID(bytes=ticket), complaint, generation, made_at)


def url(portal: str, token: str) -> str:
    """Where a token is opened; nothing where there is no portal."""
    return f"{portal.rstrip('/')}{PATH}{token}" if portal else ""


def sample(portal: str) -> str:
    """As long as a link and none: what a preview shows, since a link is its owner's alone."""
    return url(portal, "x" * TOKEN_CHARS)


class _ShortHmac(SigningAlgorithm):
    """HMAC-SHA256, of which 96 bits are kept (RFC 2104 section 5), for a link that is short."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")[:_SIGNATURE_BYTES]
