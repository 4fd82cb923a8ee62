"""The SLA monitor on a real broker and database."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from schemas.codes import TicketState
from schemas.events import TicketCustomerAwaited, TicketResolved, TicketResumed
from services.cli.topic_reading import Record
from tests.integration.sla_monitor.running import Ticket, World, lateness_s

pytestmark = pytest.mark.integration

AHEAD = timedelta(seconds=10)
"""So far ahead that a slow machine reads the events before any warning is due."""
FAILOVER_S = 6.0
"""Before this time a killed worker's partitions find no new owner: what is told earlier was told by another's sweep."""


async def test_the_clocks_of_a_ticket(world: World) -> None:
    """A ticket's clocks start, pause, resume and stop, and no breach comes of one that was kept in time."""
    world.start()
    await world.ready()
    ticket = Ticket(datetime.now(UTC) + AHEAD)
    await world.publish(ticket.opening())
    await world.publish([ticket.delivered(0.5)])
    await world.publish(
        [
            ticket.event(TicketCustomerAwaited, 1, TicketState.WAITING_CUSTOMER),
            ticket.event(TicketResumed, 60, TicketState.INVESTIGATING),
            ticket.event(TicketResolved, 61, TicketState.RESOLVED),
        ]
    )
    # The confirmation comes on another topic, before or after the ticket's own events.
    told = await world.until(
        lambda t: all("met" in t.types(ticket.id, clock) for clock in ("acknowledge", "resolution"))
    )
    assert told.types(ticket.id, "acknowledge") == ["started", "met"]
    assert told.types(ticket.id, "resolution") == ["started", "paused", "resumed", "met"]
    assert told.breaches[str(ticket.id)] == []
    metrics = await world.metrics()
    assert 'amends_sla_facts_total{clock="resolution",fact="met"} 1.0' in metrics
    assert "amends_sla_acknowledge_seconds_count 1.0" in metrics


async def test_breaches_come_on_time_once(world: World) -> None:
    """Warnings, breach and escalation come once, never early; the breach is on both topics, with all that is needed."""
    world.start()
    await world.ready()
    ticket = Ticket(datetime.now(UTC))
    await world.publish(ticket.opening())
    told = await world.until(lambda t: t.types(ticket.id, "resolution").count("escalated") == 1)
    assert told.types(ticket.id, "acknowledge") == ["started", "warned", "warned", "breached", "escalated"]
    acknowledge, resolution = sorted(
        told.breaches[str(ticket.id)], key=lambda r: r.payload["due_at"] if r.payload else ""
    )
    assert acknowledge.payload is not None
    for record in (acknowledge, resolution):
        assert 0 <= lateness_s(record) < FAILOVER_S
        assert record.type == "amends.sla.breached.v1"
    due = ticket.received_at + timedelta(seconds=3)
    written = {n: v for n, v in acknowledge.payload.items() if n not in {"detected_at", "fact_id", "routing_key"}}
    assert datetime.fromisoformat(written.pop("breached_at")) == datetime.fromisoformat(written.pop("due_at")) == due
    assert datetime.fromisoformat(written.pop("at")) == due
    assert written == {
        "ticket_id": str(ticket.id),
        "ticket_sequence": 3,
        "clock": "acknowledge",
        "cycle": 1,
        "target_s": 3,
        "policy": "acknowledge",
        "policy_version": 1,
        "elapsed_s": 3.0,
        "department": "hubs",
        "unit": "HUB-01",
        "person": "p1",
        "severity": 3,
        "category": {"category": "delay", "sub": "transit"},
        "escalation_level": "agent",
    }
    in_both = {told.id(r) for r in told.facts[str(ticket.id)]} & {told.id(r) for r in told.breaches[str(ticket.id)]}
    assert len(in_both) == 2
    assert (
        'amends_sla_breached_total{category="delay",clock="acknowledge",department="hubs"} 1.0' in await world.metrics()
    )


async def test_redelivery_tells_nothing_new(world: World) -> None:
    """The same events again, in the same or in another process, give the same facts with the same ids or none."""
    world.start()
    await world.ready()
    ticket = Ticket(datetime.now(UTC) + AHEAD)
    messages = [*ticket.opening(), ticket.delivered(0.2), ticket.event(TicketResolved, 1, TicketState.RESOLVED)]
    await world.publish(messages)
    first = await world.until(lambda t: len(t.facts[str(ticket.id)]) >= 4)
    assert world.stop() == 0
    await world.publish(messages)
    world.start()
    await world.ready()
    again = Ticket(datetime.now(UTC))
    await world.publish(again.opening())
    told = await world.until(lambda t: again and "started" in t.types(again.id, "resolution"))
    assert {told.id(r) for r in told.facts[str(ticket.id)]} == {first.id(r) for r in first.facts[str(ticket.id)]}
    assert {str(r.payload) for r in told.facts[str(ticket.id)]} == {str(r.payload) for r in first.facts[str(ticket.id)]}


async def test_after_an_outage_what_passed_comes_at_once(world: World) -> None:
    """What was due meanwhile is told with both times; what was stopped in time meanwhile is not called broken."""
    world.start()
    await world.ready()
    received_at = datetime.now(UTC) + timedelta(seconds=15)
    broken, kept = Ticket(received_at), Ticket(received_at)
    await world.publish([*broken.opening(), *kept.opening()])
    await world.until(lambda t: "started" in t.types(kept.id, "resolution"))
    assert world.stop() == 0
    await world.publish([kept.delivered(2.9), kept.event(TicketResolved, 2, TicketState.RESOLVED)])
    await asyncio.sleep(max(0.0, (broken.received_at + timedelta(seconds=10) - datetime.now(UTC)).total_seconds()))
    returned_at = datetime.now(UTC)
    world.start()
    told = await world.until(
        lambda t: len(t.breaches[str(broken.id)]) == 2 and "met" in t.types(kept.id, "acknowledge")
    )
    for breach in told.payloads(broken.id):
        assert (
            datetime.fromisoformat(breach["breached_at"]) < returned_at <= datetime.fromisoformat(breach["detected_at"])
        )
    assert told.payloads(kept.id) == []
    assert "breached" not in told.types(kept.id, "acknowledge") + told.types(kept.id, "resolution")


async def test_replay_gives_the_same(world: World) -> None:
    """All history read again into an empty database leaves the same facts standing, but for when they were seen."""
    world.start()
    await world.ready()
    tickets = [Ticket(datetime.now(UTC) + timedelta(seconds=n / 10)) for n in range(20)]
    await world.publish([m for t in tickets for m in t.opening()])
    kept = tickets[::2]
    await world.publish([t.delivered(1) for t in kept])
    await world.publish([t.event(TicketCustomerAwaited, 2, TicketState.WAITING_CUSTOMER) for t in kept[:5]])
    await world.until(lambda t: all(t.types(k.id, "resolution")[-1:] == ["escalated"] for k in tickets[1::2]))
    await world.publish([t.event(TicketResolved, 30, TicketState.RESOLVED) for t in tickets])
    first = await world.until(
        lambda t: all({"met", "stopped_late"} & set(t.types(k.id, "resolution")) for k in tickets)
    )
    assert world.stop() == 0
    await world.forget_offsets()
    stood = {t.id: _standing(first.facts[str(t.id)]) for t in tickets}
    count = {t.id: len(first.facts[str(t.id)]) for t in tickets}
    fresh = World(world.stack, world.folder, "fresh")
    await fresh.prepare()
    fresh.start(2)
    try:
        await fresh.until(lambda t: all(_standing(t.facts[str(k)][count[k] :]) == stood[k] for k in stood))
        assert fresh.stop(2) == 0
    finally:
        fresh.stop_all()
    second = await fresh.told()
    assert {k: _standing(second.facts[str(k)][count[k] :]) for k in stood} == stood


def _standing(records: Sequence[Record]) -> set[str]:
    """Facts that were not taken back. What was depends on what was read first, ticket events or deliveries."""
    void = {(r.payload or {})["corrects"] for r in records if ".corrected." in r.type}
    return {
        _without_seen(r.payload)
        for r in records
        if ".corrected." not in r.type and (r.payload or {})["fact_id"] not in void
    }


def _without_seen(payload: dict[str, object] | None) -> str:
    assert payload is not None
    return str(sorted((n, str(v)) for n, v in payload.items() if n != "detected_at"))


async def test_a_killed_worker_delays_nothing(world: World) -> None:
    """While one of two workers lives, breaches of the other's tickets come on time, and each once."""
    world.start(1)
    world.start(2)
    await world.ready(1)
    await world.ready(2)
    await world.counted("amends_deadlines_shards_open 2.0", 1)
    await world.counted("amends_deadlines_shards_open 2.0", 2)
    begin = datetime.now(UTC) + timedelta(seconds=5)
    tickets = [Ticket(begin + timedelta(seconds=n / 10)) for n in range(150)]
    await world.publish([m for t in tickets for m in t.opening()])
    await asyncio.sleep((begin + timedelta(seconds=8) - datetime.now(UTC)).total_seconds())
    world.stop(1, how=signal.SIGKILL)
    told = await world.until(lambda t: all(len({t.id(r) for r in t.breaches[str(k.id)]}) == 2 for k in tickets))
    late = sorted(lateness_s(r) for t in tickets for r in told.breaches[str(t.id)])
    assert late[0] >= 0
    assert late[-1] < FAILOVER_S, late[-20:]
