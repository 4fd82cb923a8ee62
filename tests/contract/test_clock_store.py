"""What the SLA monitor relies on, of its clocks in the database."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from schemas.codec import encode
from services.cli.bench.sla_tickets import opening
from services.runtime.mongo import Database
from services.service_levels.policy import read_policy
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor import clock_store
from services.sla_monitor.clock_store import Armed, Change, ClockStore, Stored, Told
from services.sla_monitor.clocks import advance

POLICIES = Policies([read_policy()])
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.fixture
async def process(database: Database) -> Callable[[], ClockStore]:
    """As many processes on one empty database as a test wants."""
    await ClockStore(database).prepare()
    return lambda: ClockStore(database)


def changes(ticket: UUID) -> list[Change]:
    """What the events of its opening make of a ticket, each saved by itself."""
    made: list[Change] = []
    sla: TicketSla | None = None
    for event in opening(ticket, NOON):
        before = Stored(sla, len(made), made[-1].armed) if sla else None
        sla, facts = advance(sla, event, policies=POLICIES, now=NOON)  # type: ignore[arg-type]
        told = tuple(Told(str(event.ce_id), fact, encode(fact)) for fact in facts)
        made.append(Change(sla, before, Armed(7, 1), "sla_monitor:1", told, is_to_arm=False))
    return made


async def test_what_was_saved_is_loaded(process: Callable[[], ClockStore]) -> None:
    """The last save counts, here and in another process, at once and after earlier revisions were retired."""
    here, there, ticket = process(), process(), uuid4()
    last = changes(ticket)[-1]
    for change in changes(ticket):
        assert await here.save([change]) == set()
    wanted = {ticket: Stored(last.sla, 3, Armed(7, 1))}
    assert await here.load([ticket, uuid4()], fresh=False) == wanted
    assert await there.load([ticket, uuid4()], fresh=False) == wanted
    await here.settled()
    assert await here.load([ticket], fresh=True) == wanted


async def test_one_of_two_saves_wins(process: Callable[[], ClockStore]) -> None:
    """Who computed from what another has changed since is told so, and what that one told stands alone."""
    here, there, ticket, other = process(), process(), uuid4(), uuid4()
    first, second, _ = changes(ticket)
    await here.save([first])
    await here.save([second])
    assert await there.save([second, changes(other)[0]]) == {ticket}
    causes = {t.cause for t in second.told}
    assert await there.told({ticket: causes}, {ticket: 2}) == [t.fact for t in second.told]


async def test_facts_are_told_again_as_they_were(process: Callable[[], ClockStore]) -> None:
    """By cause, up to a revision, in order, also of revisions that were retired."""
    here, ticket = process(), uuid4()
    made = changes(ticket)
    for change in made:
        await here.save([change])
    await here.settled()
    told = [t for change in made for t in change.told]
    assert len(told) > 3
    assert await here.told({ticket: {t.cause for t in told}}, {ticket: 3}) == [t.fact for t in told]
    assert await here.told({ticket: {t.cause for t in told}}, {ticket: 1}) == [t.fact for t in made[0].told]
    assert await here.told({ticket: {"unknown"}}, {ticket: 3}) == []


async def test_open_clocks_are_counted_once(process: Callable[[], ClockStore]) -> None:
    """All parts together hold each open clock of each ticket, by its latest revision."""
    here = process()
    tickets = [uuid4() for _ in range(40)]
    for ticket in tickets:
        for change in changes(ticket):
            await here.save([change])
    await here.settled()
    cycles = list(changes(tickets[0])[-1].sla.open_cycles())
    expected = Counter(("sla_monitor:1", c.clock.value, c.state.value) for c in cycles for _ in tickets)
    assert await here.open_clocks("") == expected
    in_parts: Counter[tuple[str, str, str]] = Counter()
    for prefix in "0123456789abcdef":
        in_parts.update(await here.open_clocks(prefix))
    assert in_parts == expected


async def test_recent_clocks_are_bounded(process: Callable[[], ClockStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory keeps the latest; what fell out of it is loaded."""
    monkeypatch.setattr(clock_store, "_RECENT_MAX", 2)
    here = process()
    tickets = [uuid4() for _ in range(4)]
    await here.save([changes(ticket)[0] for ticket in tickets])
    assert len(here._recent) == 2
    assert (await here.load(tickets, fresh=False)).keys() == set(tickets)
