"""Bugs in writing to customers."""

from typing import Final

from tests.simulation.planted import Mutant, mutant

_DISPATCHING: Final = "services/notifier/dispatching.py"

MUTANTS: Final[tuple[Mutant, ...]] = (
    mutant(
        "sent-before-claimed",
        "A message is sent, and only then its record written.",
        _DISPATCHING,
        "        existing = await means.store.insert(notes)\n"
        "        fresh = [n for n in notes if n.id not in existing]\n"
        "        if fresh:\n            await self._send(fresh, knowledge, told={})\n",
        "        await self._sender.send(notes, knowledge)\n"
        "        await means.store._keep_submissions(notes)  # type: ignore[attr-defined]\n"
        "        existing = await means.store.insert(notes)\n"
        "        await self._teller.follow([n for n in notes if n.id not in existing], told={})\n",
    ),
    mutant(
        "sent-without-asking",
        "After a crash between sending and marking a message is sent again, and its provider is not asked.",
        _DISPATCHING,
        "                ask.add(note.id)",
        "                ask.discard(note.id)",
    ),
    mutant(
        "notification-id-random",
        "A message has a random id.",
        "schemas/ids.py",
        '    return _named(ticket, f"notification/{moment}/{occasion}")',
        "    return __import__('uuid').uuid4()",
    ),
    mutant(
        "record-without-guard",
        "That another changed a message's record meanwhile is not noticed.",
        "services/notifier/notification_store.py",
        '{"_id": {"$in": ids}, "version": version},',
        '{"_id": {"$in": ids}},',
    ),
    mutant(
        "remembered-before-told",
        "An event is remembered as taken in before its messages are.",
        "services/notifier/handlers.py",
        "        await self._dispatcher.take_in([(_as_it_stands",
        "        await self._addressees.save([who for who, _ in changed.values()])\n"
        "        await self._dispatcher.take_in([(_as_it_stands",
    ),
    mutant(
        "receipt-not-awaited",
        "When no receipt comes, no other channel is tried.",
        "services/notifier/notification.py",
        "        note.wake_at = now + timedelta(seconds=policy.receipt_wait_s)",
        "        note.wake_at = None",
    ),
    mutant(
        "early-receipt-lost",
        "A receipt that comes before its message is marked is acknowledged and forgotten.",
        "services/notifier/receiving.py",
        "        if kept:\n            await self._keep(kept)\n",
        "        del kept\n",
    ),
    mutant(
        "outcome-not-told-again",
        "What became of a message is not published again when its event comes again.",
        _DISPATCHING,
        "        await self._teller.follow([*leave, *unwritten], told={})",
        "        await self._teller.follow(unwritten, told={})",
    ),
)
