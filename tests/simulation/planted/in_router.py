"""Bugs in the writer of tickets."""

from typing import Final

from tests.simulation.planted import Change, Mutant, mutant

_COMPLAINTS: Final = "services/router/complaint_handler.py"
_EVENTS: Final = "services/router/event_store.py"

MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(
        "published-before-appended",
        "Events are published while they are still being appended.",
        (
            Change(
                _EVENTS, "from collections import defaultdict", "import asyncio\nfrom collections import defaultdict"
            ),
            Change(
                _EVENTS,
                "        lost = await self._insert(\n            [\n                {**_document(*first)",
                "        lost: set[int] = set()\n        self._appending = asyncio.ensure_future(self._insert(\n"
                "            [\n                {**_document(*first)",
            ),
            Change(
                _EVENTS,
                "                for first, *rest in written\n            ]\n        )\n",
                "                for first, *rest in written\n            ]\n        ))\n",
            ),
        ),
    ),
    mutant(
        "append-without-guard",
        "That somebody else appended first is not noticed.",
        _EVENTS,
        "            return duplicate_indexes(refusal)",
        "            duplicate_indexes(refusal)",
    ),
    mutant(
        "rest-of-append-lost",
        "What a router that died had appended in part is not completed.",
        _EVENTS,
        '        missing = [d for d in carried if d["sequence"] not in documents[d["ticket_id"]]]',
        "        missing: list[dict[str, Any]] = []",
    ),
    mutant(
        "opening-not-told-again",
        "A complaint that comes again does not have its ticket's events published again.",
        _COMPLAINTS,
        "        settled.outgoing += [Outgoing(TICKET_EVENT, event, received.traceparent) for event in own]",
        "        del own",
    ),
    mutant(
        "untold-not-told-again",
        "What a router that died had appended and not published is not published by the next one.",
        "services/router/command_handler.py",
        "untold = [event for event in events if event.sequence > shown.get(ticket_id, 0)]",
        "untold: list[TicketEvent] = []",
    ),
    mutant(
        "command-done-again",
        "A command that comes again is decided again.",
        "services/router/command_handler.py",
        "            if command.command_id in self.stored:",
        "            if command.command_id in self.stored and not self.ticket:",
    ),
    mutant(
        "projection-without-guard",
        "An older state of a ticket is shown in the place of a newer one.",
        "services/router/ticket_store.py",
        '{"_id": str(t.id), "version": {"$lt": t.version}}',
        '{"_id": str(t.id)}',
    ),
    mutant(
        "claims-race",
        "Of two complaints on one matter that come at once, neither learns of the other.",
        "services/router/claim_store.py",
        "            holds |= await self._holders([claims[i].claim for i in duplicate_indexes(refusal)])",
        "            duplicate_indexes(refusal)",
    ),
    mutant(
        "fate-decided-twice",
        "That a complaint's fate was decided by another is not noticed.",
        "services/router/complaint_store.py",
        "            holds |= await self.fates(given[i] for i in duplicate_indexes(refusal))",
        "            del given[len(duplicate_indexes(refusal)) :]",
    ),
    mutant(
        "link-forgotten",
        "What comes again about a ticket that was linked to another opens a ticket of its own.",
        "services/router/fate.py",
        "        if ticket.linked_to is None:",
        "        if ticket.is_over:",
    ),
    mutant(
        "parked-forgotten",
        "Follow-ups that wait for a ticket are not looked for when it is opened.",
        _COMPLAINTS,
        "        settled.parked = await self.parked.waiting_for(settled.tickets)\n",
        "",
    ),
    mutant(
        "early-follow-up-dropped",
        "A follow-up that comes before its ticket is dropped.",
        "services/router/command_handler.py",
        "        await self.parked.park([received.message for received in early])\n",
        "",
    ),
    mutant(
        "number-block-not-counted",
        "However many ticket numbers are taken, the counter grows by one.",
        "services/router/number_store.py",
        '{"$inc": {"last": count}}',
        '{"$inc": {"last": 1}}',
    ),
    mutant(
        "command-id-random",
        "A complaint that comes again sends another follow-up, not the same one again.",
        "schemas/ids.py",
        '    return _named(causation_id, f"command/{action}")',
        "    return __import__('uuid').uuid4()",
    ),
    mutant(
        "slot-taken-twice",
        "Two routers give away the same slot of a person.",
        "services/router/reservation_store.py",
        "            return {ticket for slot, ticket in refused if (slot.person, str(ticket)) not in has}",
        "            return set[UUID]() if has else set()",
    ),
)
