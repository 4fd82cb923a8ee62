"""What somebody learns who tries links out, and how often anybody may ask."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from schemas import events as e
from services.portal.handlers import REFUSED_S, PrivatePage
from services.portal.tokens import Tokens
from tests.unit.portal.conftest import NOW, Revocations, Running, Tickets, links_of
from tests.unit.portal.tickets import TICKET

LOOK_UP_S = 0.03


class Watch:
    """A clock that stands still but for what takes its time."""

    def __init__(self) -> None:
        self.now = NOW

    async def pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Slow:
    """A database whose every answer takes a while."""

    def __init__(self, running: Running, watch: Watch) -> None:
        self._tickets: Tickets = running.tickets
        self._revocations: Revocations = running.revocations
        self._watch = watch

    async def generation(self, ticket_id: UUID) -> int:
        await self._watch.pause(LOOK_UP_S)
        return await self._revocations.generation(ticket_id)

    async def events(self, ticket_id: UUID) -> list[e.TicketEvent]:
        await self._watch.pause(LOOK_UP_S)
        return list(await self._tickets.events(ticket_id))


async def test_every_link_that_opens_nothing_is_refused_after_the_same_time(running: Running):
    """A wrong one, which is looked up nowhere, as one that was revoked or whose ticket is gone."""
    watch = Watch()
    slow = cast("Any", Slow(running, watch))
    nobody = cast("Any", None)
    page = PrivatePage(
        links=links_of(running.keyring), revocations=slow, tickets=slow, notes=nobody, uploads=nobody,
        publisher=nobody, tokens=Tokens(b"secret"), now=lambda: watch.now, pause=watch.pause, outcome_s_max=0,
    )  # fmt: skip
    good = running.token()
    took = {}
    for name, token in {
        "wrong": "x" * 53,
        "changed": good[:-3] + "AAA",
        "expired": running.token(age=timedelta(days=200)),
        "no ticket": running.token(ticket=uuid4()),
        "no complaint": running.token(complaint=uuid4()),
        "revoked": good,
    }.items():
        running.revocations.by_ticket = {TICKET: 1} if name == "revoked" else {}
        began_at = watch.now
        assert await page.holder(token) is None
        took[name] = (watch.now - began_at).total_seconds()
    assert set(took.values()) == {REFUSED_S}
    running.revocations.by_ticket = {}
    assert await page.holder(good) is not None


async def test_behind_a_proxy_each_customer_has_a_limit_and_nobody_speaks_for_others(make_running):
    """The proxy says whom it speaks for; what anybody else says of that is not believed."""
    running = make_running(portal_rate_limit="2/hour")
    app = running.app
    running.app = ProxyHeadersMiddleware(app, trusted_hosts="10.0.0.0/8")
    async with running.client(client=("10.0.0.1", 1)) as proxy, running.client(client=("192.0.2.9", 1)) as liar:
        for customer in ("198.51.100.1", "198.51.100.2", "2001:db8::1"):
            said = {"X-Forwarded-For": f"203.0.113.7, {customer}"}
            assert [(await proxy.get("/", headers=said)).status_code for _ in range(3)] == [200, 200, 429]
        told = [(await liar.get("/", headers={"X-Forwarded-For": f"198.51.100.{n}"})).status_code for n in (3, 4, 5)]
        assert told == [200, 200, 429]
