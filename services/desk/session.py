"""What a session is and how long it holds. Pure, but for the random ids.

The browser holds the id, the database its SHA-256: whoever reads the database can take over nobody's session.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SEEN_EVERY: Final = timedelta(seconds=60)
"""How exactly it is remembered when a session was used last: a write at every request would be for nothing."""
_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a session holds."""

    idle: timedelta
    """After the last request."""
    absolute: timedelta
    """After signing in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser in which somebody is signed in."""

    digest: str
    account: str
    made_at: datetime
    seen_at: datetime
    ends_at: datetime
    """When it ends, at the latest."""
    address: str = ""
    """From where it was begun, coarse."""

    def holds(self, now: datetime, limits: Limits) -> bool:
        """Whether it has neither been idle nor there for too long. Limits that were shortened meanwhile count."""
        return now < min(self.seen_at + limits.idle, self.made_at + limits.absolute, self.ends_at)

    def is_to_be_seen(self, now: datetime) -> bool:
        """Whether its use is to be written down."""
        return now - self.seen_at >= SEEN_EVERY


def fresh_id() -> str:
    """The id of a new session: 256 random bits."""
    return secrets.token_urlsafe(_ID_BYTES)


def digest(session_id: str) -> str:
    """What the database keeps of an id."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def csrf_token(session_id: str) -> str:
    """What a request that changes something must bring beside the cookie: only pages of ours can know it."""
    return hmac.new(session_id.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_token(given: str, session_id: str) -> bool:
    """Whether it is the one of this session, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), csrf_token(session_id).encode())
