"""Which pages there are: all that the menu leads each role to, and all that those lead to."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qsl, urlsplit

from schemas.codes import StaffRole
from services.cli.desk import READY_MADE
from services.desk.rights import rights_of, scope
from services.desk.web_visit import MENU
from tests.journeys.browsing import Colleague

_ACCOUNTS = {role: name for name, role in reversed(READY_MADE)}
PEOPLE = {role: _ACCOUNTS[role] for role in sorted(StaffRole, key=lambda role: -len(rights_of(role)))}
"""An account of each role; whoever may do most comes first."""
_LINK = re.compile(r'<a [^>]*?href="(/[^"]*)"')
_VARIABLE = re.compile(r"\d{4}-\d{6}(?:-\d)?|[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)\d+(?=/|$)")
_NOT_PAGES = re.compile(r"/(static|v1|docs|openapi)\b|/tickets/[^/]+/do/")
"""Files, the API, and forms of commands, of which each ticket has other ones."""


def kind_of(address: str) -> str:
    """Addresses of the same kind are pages of the same make: of one ticket as of another."""
    parts = urlsplit(address)
    named = sorted({name for name, _ in parse_qsl(parts.query)})
    return f"{_VARIABLE.sub('*', parts.path)}?{'&'.join(named)}"


def explored(someone: Colleague, role: StaffRole, seen: set[str]) -> Iterator[str]:
    """Addresses of the pages that somebody of a role reaches by links, one of each kind that is not in `seen` yet.

    Whoever iterates opens the page; its links are read when the next address is asked for.
    """
    waiting = [href for _, href, action in MENU if scope(role, action) is not None]
    while waiting:
        address = waiting.pop(0)
        kind = kind_of(address)
        if kind in seen or _NOT_PAGES.match(address):
            continue
        seen.add(kind)
        yield address
        waiting += [unescape(href) for href in _LINK.findall(someone.page.content())]
