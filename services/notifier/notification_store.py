"""The record of every message.

Collection `notifications`; beside it `submissions`, what providers call messages, and `receipts` that came before their
message was marked. Every write names the version that was read, so of two writers one loses and looks again. Everything
is in bulk: what changes alike in many records is one write; what is each one's own, as a provider's id, is inserted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

from pymongo import UpdateMany
from pymongo.errors import BulkWriteError

from schemas.codes import DeliveryChannel, Moment, Severity
from services.notifier.addressee_store import person_document, person_of
from services.notifier.gateway import Receipt
from services.notifier.notice import Notice
from services.notifier.notification import Attempt, Notification, State, Wait
from services.runtime.mongo import Database, duplicate_indexes


class NotificationStore(Protocol):
    """What sending needs to remember. Any call may be made again after an error."""

    async def insert(self, notes: Sequence[Notification]) -> set[UUID]:
        """Keep fresh records; gives the ids of those that exist already, which are left as they are."""

    async def load(self, ids: Iterable[UUID], *, due_by: datetime | None = None) -> dict[UUID, Notification]:
        """Those that exist; with `due_by` only those that are to be looked at by then."""

    async def save(self, notes: Sequence[Notification]) -> set[UUID]:
        """Write what was changed, and raise each version by one. Gives those that somebody else changed meanwhile."""

    async def by_provider_ids(self, ids: Sequence[str]) -> dict[str, Notification]:
        """Records by what a provider calls them."""

    async def capped_since(self, recipients: Iterable[str], since: datetime) -> Mapping[str, int]:
        """How many messages that count for the cap went to each recipient."""

    async def park(self, receipts: Sequence[Receipt], at: datetime) -> None:
        """Keep receipts whose message is not marked yet."""

    async def parked(self, provider_ids: Sequence[str]) -> list[Receipt]:
        """Those kept for these."""

    async def unpark(self, provider_ids: Sequence[str]) -> None:
        """Forget them."""


class MongoNotificationStore:
    """The store in the database."""

    def __init__(self, database: Database) -> None:
        self._notes = database["notifications"]
        self._submissions = database["submissions"]
        self._receipts = database["receipts"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start."""
        await self._submissions.create_index("note")
        # A receipt of a message that nobody knows is forgotten after a week.
        await self._receipts.create_index("at", expireAfterSeconds=604_800)
        await self._notes.create_index([("recipient", 1), ("counted_at", 1)], sparse=True)
        # People look at what was sent about a ticket.
        await self._notes.create_index("ticket_id")

    async def insert(self, notes: Sequence[Notification]) -> set[UUID]:
        """See `NotificationStore`."""
        if not notes:
            return set()
        for note in notes:
            note.stored = _progress(note)
        try:
            await self._notes.insert_many([_document(n) for n in notes], ordered=False)
        except BulkWriteError as refusal:
            return {notes[index].id for index in duplicate_indexes(refusal)}
        return set()

    async def load(self, ids: Iterable[UUID], *, due_by: datetime | None = None) -> dict[UUID, Notification]:
        """See `NotificationStore`."""
        wanted: dict[str, Any] = {"_id": {"$in": [str(id_) for id_ in ids]}}
        if not wanted["_id"]["$in"]:
            return {}
        if due_by:
            wanted["wake_at"] = {"$lte": due_by}
        found = {UUID(d["_id"]): _notification(d) async for d in self._notes.find(wanted)}
        sent = [str(id_) for id_, note in found.items() if note.attempts]
        if sent:
            async for d in self._submissions.find({"note": {"$in": sent}}).sort("part", 1):
                found[UUID(d["note"])].attempts[d["attempt"]].provider_ids += (d["_id"],)
        for note in found.values():
            for attempt in note.attempts:
                attempt.delivered = frozenset(attempt.provider_ids if attempt.delivered_at else ())
            note.stored = _progress(note)
        return found

    async def save(self, notes: Sequence[Notification]) -> set[UUID]:
        """See `NotificationStore`."""
        if not notes:
            return set()
        await self._keep_submissions(notes)
        token, alike = uuid4().hex, defaultdict[tuple[Any, ...], list[str]](list)
        progress = [_progress(note) for note in notes]
        for note, now in zip(notes, progress, strict=True):
            before = note.stored
            changed = tuple((k, v) for k, v in now.items() if k not in before or before[k] != v)
            alike[note.version, changed, tuple(before.keys() - now.keys())].append(str(note.id))
        result = await self._notes.bulk_write(
            [
                UpdateMany(
                    {"_id": {"$in": ids}, "version": version},
                    {"$set": {**dict(changed), "version": version + 1, "written_by": token}}
                    | ({"$unset": dict.fromkeys(gone, "")} if gone else {}),
                )
                for (version, changed, gone), ids in alike.items()
            ],
            ordered=False,
        )
        for note, now in zip(notes, progress, strict=True):
            note.stored, note.version = now, note.version + 1
        if result.matched_count == len(notes):
            return set()
        return {n.id for n in notes} - await self._written(notes, token)

    async def by_provider_ids(self, ids: Sequence[str]) -> dict[str, Notification]:
        """See `NotificationStore`."""
        if not ids:
            return {}
        notes = {UUID(d["note"]) async for d in self._submissions.find({"_id": {"$in": list(ids)}}, {"note": 1})}
        return {
            id_: note
            for note in (await self.load(notes)).values()
            for attempt in note.attempts
            for id_ in attempt.provider_ids
        }

    async def capped_since(self, recipients: Iterable[str], since: datetime) -> Mapping[str, int]:
        """See `NotificationStore`."""
        wanted = list(recipients)
        if not wanted:
            return {}
        branches = [{"recipient": recipient, "counted_at": {"$gt": since}} for recipient in wanted]
        found = self._notes.find({"$or": branches}, {"recipient": 1})
        return Counter([d["recipient"] async for d in found])

    async def park(self, receipts: Sequence[Receipt], at: datetime) -> None:
        """See `NotificationStore`."""
        if not receipts:
            return
        parked = [{"_id": r.provider_id, "arrived": r.arrived, "at": at} for r in receipts]
        try:
            await self._receipts.insert_many(parked, ordered=False)
        except BulkWriteError as refusal:
            duplicate_indexes(refusal)

    async def parked(self, provider_ids: Sequence[str]) -> list[Receipt]:
        """See `NotificationStore`."""
        if not provider_ids:
            return []
        return [
            Receipt(d["_id"], d["arrived"]) async for d in self._receipts.find({"_id": {"$in": list(provider_ids)}})
        ]

    async def unpark(self, provider_ids: Sequence[str]) -> None:
        """See `NotificationStore`."""
        if provider_ids:
            await self._receipts.delete_many({"_id": {"$in": list(provider_ids)}})

    async def _keep_submissions(self, notes: Sequence[Notification]) -> None:
        """Keep what providers call messages, before their records say that they were sent."""
        new = [
            {"_id": provider_id, "note": str(note.id), "attempt": number, "part": part}
            for note in notes
            for number, attempt in enumerate(note.attempts)
            if not note.stored.get(f"attempts.{number}.sent_at")
            for part, provider_id in enumerate(attempt.provider_ids)
        ]
        if new:
            try:
                await self._submissions.insert_many(new, ordered=False)
            except BulkWriteError as refusal:
                duplicate_indexes(refusal)

    async def _written(self, notes: Sequence[Notification], token: str) -> set[UUID]:
        found = self._notes.find({"_id": {"$in": [str(n.id) for n in notes]}, "written_by": token}, {"_id": 1})
        return {UUID(d["_id"]) async for d in found}


def _document(note: Notification) -> dict[str, Any]:
    notice = note.notice
    return {
        "_id": str(note.id),
        "ticket_id": str(notice.ticket_id),
        "routing_key": notice.routing_key,
        "moment": notice.moment.value,
        "occasion": str(notice.occasion),
        "at": notice.at,
        "person": person_document(notice.person),
        "severity": int(notice.severity),
        "facts": dict(notice.facts),
        "requested_at": note.requested_at,
        "trace": note.trace,
        "version": note.version,
        **({"note_ref": str(notice.note_ref)} if notice.note_ref else {}),
        **{k: v for k, v in _progress(note).items() if not k.startswith(("attempts.", "facts."))},
        "attempts": [_attempt_document(a) for a in note.attempts],
    }


def _progress(note: Notification) -> dict[str, Any]:
    """What changes of a record, by its place in the document."""
    progress: dict[str, Any] = {
        "state": note.state.value,
        "owner": note.owner,
        "lease_until": note.lease_until,
        "wake_at": note.wake_at,
        "wait": note.wait.value if note.wait else None,
        "ended_at": note.ended_at,
        "why": note.why,
    }
    if note.notice.telling > 1:  # Its occasion was told anew, with other facts.
        said = {"at": note.notice.at, "severity": int(note.notice.severity), "telling": note.notice.telling}
        progress |= said | {f"facts.{name}": value for name, value in note.notice.facts.items()}
    for number, attempt in enumerate(note.attempts):
        progress |= {f"attempts.{number}.{k}": v for k, v in _attempt_document(attempt).items()}
    # Absent, not empty, so that the sparse index holds only what is looked for.
    if note.recipient:
        progress |= {"recipient": note.recipient, "counted_at": note.requested_at}
    return progress


def _attempt_document(attempt: Attempt) -> dict[str, Any]:
    return {
        "channel": attempt.channel.value,
        "template": attempt.template,
        "begun_at": attempt.begun_at,
        "tries": attempt.tries,
        "sent_at": attempt.sent_at,
        "delivered_at": attempt.delivered_at,
        "failed_at": attempt.failed_at,
        "why": attempt.why,
        **({"segments": attempt.segments} if attempt.segments else {}),
    }


def _notification(document: dict[str, Any]) -> Notification:
    notice = Notice(
        ticket_id=UUID(document["ticket_id"]),
        routing_key=document["routing_key"],
        moment=Moment(document["moment"]),
        occasion=UUID(document["occasion"]),
        at=document["at"],
        person=person_of(document["person"]),
        severity=Severity(document["severity"]),
        facts=document["facts"],
        note_ref=UUID(document["note_ref"]) if document.get("note_ref") else None,
        telling=document.get("telling", 1),
    )
    return Notification(
        notice=notice,
        state=State(document["state"]),
        requested_at=document["requested_at"],
        trace=document["trace"],
        version=document["version"],
        owner=document["owner"],
        lease_until=document["lease_until"],
        wake_at=document["wake_at"],
        wait=Wait(document["wait"]) if document["wait"] else None,
        recipient=document.get("recipient", ""),
        attempts=[Attempt(**{**a, "channel": DeliveryChannel(a["channel"])}) for a in document["attempts"]],
        ended_at=document["ended_at"],
        why=document["why"],
    )
