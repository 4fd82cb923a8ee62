"""Who read and did what. Pure."""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.desk.person import Person

REASON_CHARACTERS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act, or one reading of personal data. Never what was read."""

    id: str
    """In the order of time."""
    at: datetime
    who: str
    """Name of the account; empty when nobody was signed in."""
    role: str
    action: str
    """As in `rights.py`, or `sign_in`, `sign_in_refused`, `sign_out`."""
    ticket: str | None = None
    about: str = ""
    """What else it is about: an account, an erasure, how many tickets were taken away."""
    fields: tuple[str, ...] = ()
    """Names of what was read or changed."""
    reason: str = ""
    address: str = ""
    """From where, coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which entries are wanted. None and empty: whichever."""

    who: str | None = None
    action: str | None = None
    ticket: str | None = None
    """Id or number."""
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    """Cursor: the id of the last entry of the page before."""


def entry(
    action: str,
    *,
    at: datetime,
    by: Person | None,
    ticket: str | None = None,
    about: str = "",
    fields: tuple[str, ...] = (),
    reason: str = "",
    address: str = "",
) -> Entry:
    """An entry with an id of its own."""
    return Entry(
        id=f"{time_part(at)}-{secrets.token_hex(8)}",
        at=at,
        who=by.id if by else "",
        role=by.role.value if by else "",
        action=action,
        ticket=ticket,
        about=about,
        fields=fields,
        reason=reason,
        address=coarse(address),
    )


def time_part(at: datetime) -> str:
    """What an id begins with: milliseconds since 1970, so that ids sort by time."""
    return f"{int(at.timestamp() * 1000):014d}"


def coarse(address: str) -> str:
    """An address without what tells one machine from its neighbours: /24 of IPv4, /48 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    network = ipaddress.ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False)
    return str(network)
