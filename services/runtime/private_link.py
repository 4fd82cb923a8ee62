"""The private link that messages carry: who holds it may see one ticket and act on it as its complainant. Pure.

A token is 36 bytes (ticket, complaint, when it was made) and a signature, in URL-safe base64. It names nobody. Links
end by themselves after `VALID_FOR`; collection `link_revocations`, `{_id: ticket id, before}`, ends those of a ticket
that were made before an instant.
"""

import base64
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

from itsdangerous import Signer

VALID_FOR: Final = timedelta(days=180)
TOKEN_CHARACTERS_MAX: Final = 200
_HOLDER: Final = struct.Struct(">16s16sI")
_SALT: Final = "amends/private-link/1"


@dataclass(frozen=True, slots=True)
class LinkHolder:
    """Whom a link was made for."""

    ticket_id: UUID
    complaint_id: UUID
    made_at: datetime


class LinkRefused(Exception):  # noqa: N818 - said of the link
    """A token that opens nothing; `reason` is for counting and never told to whoever brought it."""

    def __init__(self, reason: Literal["malformed", "signature", "expired"]) -> None:
        super().__init__(reason)
        self.reason = reason


def make(*, ticket_id: UUID, complaint_id: UUID, at: datetime, keys: Sequence[bytes]) -> str:
    """The token for the complainant of one complaint.

    Args:
        ticket_id: what it opens.
        complaint_id: whose it is.
        at: when it is made, to the second.
        keys: secrets from the oldest to the newest, which signs.
    """
    packed = _HOLDER.pack(ticket_id.bytes, complaint_id.bytes, int(at.timestamp()))
    return _signer(keys).sign(base64.urlsafe_b64encode(packed)).decode()


def read(token: str, keys: Sequence[bytes], now: datetime) -> LinkHolder:
    """Whom a token was made for.

    Raises:
        LinkRefused: it is none of ours, was changed, or its time is over.
    """
    payload, separator, _ = token.partition(".")
    if not separator or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise LinkRefused("malformed")
    try:
        packed = base64.b64decode(payload, altchars=b"-_", validate=True)
    except ValueError:
        raise LinkRefused("malformed") from None
    if len(packed) != _HOLDER.size:
        raise LinkRefused("malformed")
    # Base64 has several ways to write the same bytes. Comparing whole tokens leaves one token for each holder.
    if not any(hmac.compare_digest(_signer([key]).sign(payload), token.encode()) for key in keys):
        raise LinkRefused("signature")
    ticket, complaint, seconds = _HOLDER.unpack(packed)
    made_at = datetime.fromtimestamp(seconds, UTC)
    if now >= made_at + VALID_FOR:
        raise LinkRefused("expired")
    return LinkHolder(UUID(bytes=ticket), UUID(bytes=complaint), made_at)


def _signer(keys: Sequence[bytes]) -> Signer:
    return Signer(list(keys), salt=_SALT, key_derivation="hmac", digest_method=sha256)
