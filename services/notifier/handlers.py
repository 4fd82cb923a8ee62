"""What the notifier does with events of tickets and facts about promises, and with deadlines that have come."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from schemas import sla
from schemas.codes import Moment
from schemas.events import TicketEvent
from schemas.message import Message
from services.notifier.dispatching import Alarm, Dispatcher, promise_id, shard_of
from services.notifier.moments import Addressee, Notice, UnknownTicket, confirm_now, confirmation_id, fold
from services.notifier.policy import NotificationPolicy
from services.notifier.schedule.now import Now
from services.runtime.consuming import Received, Refusal
from services.runtime.deadlines import Deadline, Due

_TOLD_FACTS: Final = (sla.SlaStarted, sla.SlaResumed, sla.SlaRetargeted)


class AddresseeStore(Protocol):
    """What is known of tickets."""

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Addressee]:
        """Those that are known."""

    async def save(self, addressees: Sequence[Addressee]) -> None:
        """Keep them, but for those of which a later state is stored."""


class Notifier:
    """Reads `ticket-event` and `sla-event`, and writes to people."""

    def __init__(
        self,
        *,
        addressees: AddresseeStore,
        dispatcher: Dispatcher,
        alarm: Alarm,
        policy: NotificationPolicy,
        now: Now,
        partitions: int,
    ) -> None:
        self._addressees = addressees
        self._dispatcher = dispatcher
        self._alarm = alarm
        self._policy = policy
        self._now = now
        self._partitions = partitions

    async def handle(self, batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        """Take in a batch, write what is to be written, and only then remember that it was taken in."""
        relevant = [r for r in batch if self._is_relevant(r.message)]
        known = await self._addressees.load({r.message.ce_subject for r in relevant})
        awaited = {confirmation_id(who) for who in known.values() if who.awaits_promise}
        notices: list[tuple[Notice, str | None]] = []
        refusals: list[Refusal] = []
        changed: dict[UUID, Addressee] = {}
        awaiting: dict[UUID, Addressee] = {}
        for received in relevant:
            message = received.message
            ticket = message.ce_subject
            who = known.get(ticket) or Addressee(ticket, message.routing_key)
            try:
                found = fold(who, message, self._policy)
            except UnknownTicket as unknown:
                refusals.append(Refusal(received, str(unknown)))
                continue
            notices += [(notice, received.traceparent) for notice in found]
            known[ticket] = changed[ticket] = who
            if isinstance(message, TicketEvent):
                awaiting[ticket] = who
        await self._await_promises([who for who in awaiting.values() if who.awaits_promise])
        await self._dispatcher.take_in(notices)
        # Of those that were confirmed now and not at once, the deadline is still there.
        kept = {notice.id for notice, _ in notices if notice.moment is Moment.RECEIVED}
        await self._alarm.cancel({promise_id(note): 0 for note in kept & awaited})
        await self._addressees.save(list(changed.values()))
        return refusals

    async def on_due(self, dues: Sequence[Due]) -> None:
        """See to messages whose time has come. One without a record is a confirmation whose clock did not start."""
        promises = {UUID(d.payload["ticket"]) for d in dues if d.id.endswith(":promise")}
        await self._dispatcher.take_up([UUID(d.id.split(":")[1]) for d in dues if not d.id.endswith(":promise")])
        owed = await self._addressees.load(promises)
        # Not remembered in the addressee, whose only writer is the owner of its partition: if the clock starts after
        # all, the same notice comes again, and is found to be done.
        await self._dispatcher.take_in([(n, None) for who in owed.values() for n in confirm_now(who, self._policy)])

    def _is_relevant(self, message: Message) -> bool:
        if isinstance(message, TicketEvent):
            return True
        if isinstance(message, sla.SlaBreached):
            return message.clock in self._policy.apology
        if isinstance(message, _TOLD_FACTS):
            return message.clock in self._policy.told_clocks or message.clock is self._policy.promise.clock
        return False

    async def _await_promises(self, addressees: Sequence[Addressee]) -> None:
        """Wake up for confirmations whose clock has not started. Sending moves the same deadline on."""
        if addressees:
            due_at = self._now() + timedelta(seconds=self._policy.promise.wait_s)
            await self._alarm.arm(
                [
                    Deadline(
                        id=promise_id(confirmation_id(who)),
                        shard=shard_of(who.routing_key, self._partitions),
                        due_at=due_at,
                        payload={"ticket": str(who.ticket_id)},
                    )
                    for who in addressees
                ]
            )
