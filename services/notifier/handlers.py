"""What the notifier does with events of tickets and facts about promises, and with deadlines that have come."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID, uuid5

from schemas import sla
from schemas.codes import Clock
from schemas.events import TicketEvent
from schemas.message import Message
from services.notifier.dispatching import Dispatcher
from services.notifier.means import SERVICE, Alarm, shard_of
from services.notifier.moments import Addressee, UnknownTicket, acknowledgements, confirmation, fold, refuses_surveys
from services.notifier.notice import Notice
from services.notifier.policy import NotificationPolicy
from services.notifier.schedule.now import Now
from services.runtime.consuming import Received, Refusal
from services.runtime.deadlines import Deadline, Due

_TOLD_FACTS: Final = (sla.SlaStarted, sla.SlaResumed, sla.SlaRetargeted)
_OF_BREACHES: Final = (sla.SlaBreached, sla.SlaCorrected)


class AddresseeStore(Protocol):
    """What is known of tickets."""

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Addressee]:
        """Those that are known."""

    async def promised(self, tickets: Iterable[UUID], clock: Clock) -> set[UUID]:
        """Those of which that clock has started."""

    async def save(self, addressees: Sequence[Addressee]) -> None:
        """Keep them, but for those of which a later state is stored."""


class OptOutStore(Protocol):
    """Who does not want to be asked how it was."""

    async def opt_out(self, refs: Iterable[UUID], at: datetime) -> None:
        """Keep that these contacts do not."""


class Notifier:
    """Reads `ticket-event` and `sla-event`, and writes to people."""

    def __init__(
        self,
        *,
        addressees: AddresseeStore,
        opt_outs: OptOutStore,
        dispatcher: Dispatcher,
        alarm: Alarm,
        policy: NotificationPolicy,
        now: Now,
        partitions: int,
    ) -> None:
        self._addressees = addressees
        self._opt_outs = opt_outs
        self._dispatcher = dispatcher
        self._alarm = alarm
        self._policy = policy
        self._now = now
        self._partitions = partitions

    async def handle(self, batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        """Take in a batch, write what is to be written, and only then remember that it was taken in."""
        policy = self._policy
        relevant = [r for r in batch if self._is_relevant(r.message)]
        known = await self._addressees.load({r.message.ce_subject for r in relevant})
        confirmed = {ticket for ticket, who in known.items() if who.is_confirmed(policy)}
        # Of these a deadline was armed before they were remembered so. Another for every fact that comes would never
        # end where the clock does not run at all and a message that is told again calls forth such facts.
        awaited = {ticket: _awaiting(who, policy) for ticket, who in known.items()}
        notices: list[tuple[Notice, str | None]] = []
        refuse_surveys: set[UUID] = set()
        refusals: list[Refusal] = []
        changed: dict[UUID, tuple[Addressee, str | None]] = {}
        for received in relevant:
            message = received.message
            ticket = message.ce_subject
            who = known.get(ticket) or Addressee(ticket, message.routing_key)
            try:
                found = fold(who, message, policy)
            except UnknownTicket as unknown:
                refusals.append(Refusal(received, str(unknown)))
                continue
            known[ticket] = who
            notices += [(notice, received.traceparent) for notice in found]
            if who.person and refuses_surveys(message):
                refuse_surveys.add(who.person.contact_ref)
            changed[ticket] = (who, received.traceparent)
        to_confirm = [(w, t) for w, t in changed.values() if w.is_confirmed(policy) and w.ticket_id not in confirmed]
        # First, because whatever else came in the same batch came after.
        notices[:0] = [(confirmation(who, policy), trace) for who, trace in to_confirm]
        begin = [(who, trace) for t, (who, trace) in changed.items() if _awaiting(who, policy) - awaited.get(t, set())]
        await self._await_promises(begin)
        # Before anything is sent, since a survey may be in the same batch.
        if refuse_surveys:
            await self._opt_outs.opt_out(refuse_surveys, self._now())
        await self._dispatcher.take_in([(_as_it_stands(n, known[n.ticket_id]), trace) for n, trace in notices])
        await self._addressees.save([who for who, _ in changed.values()])
        return refusals

    async def on_due(self, dues: Sequence[Due]) -> None:
        """See to messages whose time has come, and to confirmations whose clock has not started."""
        # What is handed out again was perhaps handled and not told.
        for again in (False, True):
            some = [d for d in dues if bool(d.attempts) is again]
            notes = [UUID(n) for d in some for n in d.payload.get("notes", ())]
            if notes:
                await self._dispatcher.take_up(notes, due_by=max(d.claimed_at for d in some), again=again)
        await self._confirm_without_promise(
            {t: c for d in dues for t, c in d.payload.get("tickets", {}).items()},
            {t: c for d in dues for t, c in d.payload.get("reopened", {}).items()},
        )

    async def _confirm_without_promise(
        self, opened: Mapping[str, str | None], reopened: Mapping[str, str | None]
    ) -> None:
        """Confirm to those whose clock has still not started, each with the trace of what it was understood by."""
        tickets = {UUID(ticket) for ticket in opened}
        tickets -= await self._addressees.promised(tickets, self._policy.promise.clock)
        known = await self._addressees.load(tickets | {UUID(ticket) for ticket in reopened})
        # If the clock starts after all, the same notice comes again, and is found to be done.
        notices = [
            (confirmation(known[t], self._policy), opened[str(t)])
            for t in tickets & known.keys()
            if known[t].awaits_promise(self._policy)
        ]
        for ticket, trace in reopened.items():
            if (who := known.get(UUID(ticket))) is not None:
                notices += [(notice, trace) for notice in acknowledgements(who, self._policy)]
        await self._dispatcher.take_in(notices)

    def _is_relevant(self, message: Message) -> bool:
        if isinstance(message, TicketEvent):
            return True
        if isinstance(message, _OF_BREACHES):
            return message.clock in self._policy.apology
        if isinstance(message, _TOLD_FACTS):
            return message.clock in self._policy.told_clocks or message.clock is self._policy.promise.clock
        return False

    async def _await_promises(self, addressees: Sequence[tuple[Addressee, str | None]]) -> None:
        """Wake up for confirmations whose clock has not started.

        One deadline for all of a batch and a shard. It is left alone when the clocks start, which they do: looking once
        at who is still waiting costs less than arming and taking back as many deadlines as there are tickets.
        """
        due_at = self._now() + timedelta(seconds=self._policy.promise.wait_s)
        by_shard: dict[tuple[str, str], dict[str, str | None]] = defaultdict(dict)
        for who, trace in addressees:
            shard = shard_of(who.routing_key, self._partitions)
            # Both, where a ticket was opened, settled and reopened before anything of it was read.
            if who.awaits_promise(self._policy):
                by_shard[shard, "tickets"][str(who.ticket_id)] = trace
            if who.owed:
                by_shard[shard, "reopened"][str(who.ticket_id)] = trace
        await self._alarm.arm([_promise_deadline(*key, due_at, tickets) for key, tickets in by_shard.items()])


def _awaiting(who: Addressee, policy: NotificationPolicy) -> set[UUID | None]:
    """Occasions that are to be told with the time of a clock that has not started."""
    return {owed.occasion for owed in who.owed} | ({who.opened_id} if who.awaits_promise(policy) else set())


def _promise_deadline(shard: str, what: str, due_at: datetime, tickets: Mapping[str, str | None]) -> Deadline:
    # With the time, because a ticket may be reopened more than once.
    named = uuid5(UUID(next(iter(tickets))), f"{what}/{due_at.isoformat()}/{'/'.join(tickets)}")
    return Deadline(id=f"{SERVICE}:promise:{named}", shard=shard, due_at=due_at, payload={what: dict(tickets)})


def _as_it_stands(notice: Notice, who: Addressee) -> Notice:
    """Whether what gave rise to it was taken back in the same batch."""
    return replace(notice, withdrawn=True) if notice.occasion in who.withdrawn else notice
