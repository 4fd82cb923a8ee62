"""The record of every message: collection `notifications`, and `receipts` that came before their message was marked.

Every write names the version that was read, so of two writers one loses and looks again. Everything is in bulk.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from schemas.codes import DeliveryChannel, Moment, Severity
from services.notifier.addressee_store import person_document, person_of
from services.notifier.gateway import Receipt
from services.notifier.moments import Notice
from services.notifier.notification import Attempt, Notification, State, Wait
from services.runtime.mongo import Database, duplicate_indexes


class NotificationStore(Protocol):
    """What sending needs to remember. Any call may be made again after an error."""

    async def insert(self, notes: Sequence[Notification]) -> set[UUID]:
        """Keep fresh records; gives the ids of those that exist already, which are left as they are."""

    async def load(self, ids: Iterable[UUID]) -> dict[UUID, Notification]:
        """Those that exist."""

    async def save(self, notes: Sequence[Notification]) -> set[UUID]:
        """Write what was changed, and raise each version by one. Gives those that somebody else changed meanwhile."""

    async def deliver(self, notes: Sequence[tuple[Notification, int]]) -> set[UUID]:
        """As `save`, of records that were just delivered by the attempt of that number, all at the same time."""

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
        self._receipts = database["receipts"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start."""
        await self._notes.create_index("provider_ids", sparse=True)
        # A receipt of a message that nobody knows is forgotten after a week.
        await self._receipts.create_index("at", expireAfterSeconds=604_800)
        await self._notes.create_index([("recipient", 1), ("counted_at", 1)], sparse=True)

    async def insert(self, notes: Sequence[Notification]) -> set[UUID]:
        """See `NotificationStore`."""
        if not notes:
            return set()
        try:
            await self._notes.insert_many([_document(n) for n in notes], ordered=False)
        except BulkWriteError as refusal:
            return {notes[index].id for index in duplicate_indexes(refusal)}
        return set()

    async def load(self, ids: Iterable[UUID]) -> dict[UUID, Notification]:
        """See `NotificationStore`."""
        wanted = [str(id_) for id_ in ids]
        if not wanted:
            return {}
        return {UUID(d["_id"]): _notification(d) async for d in self._notes.find({"_id": {"$in": wanted}})}

    async def save(self, notes: Sequence[Notification]) -> set[UUID]:
        """See `NotificationStore`."""
        if not notes:
            return set()
        token = uuid4().hex
        result = await self._notes.bulk_write(
            [
                UpdateOne(
                    {"_id": str(n.id), "version": n.version},
                    {"$set": _progress(n) | {"version": n.version + 1, "written_by": token}},
                )
                for n in notes
            ],
            ordered=False,
        )
        for note in notes:
            note.version += 1
        if result.matched_count == len(notes):
            return set()
        return {n.id for n in notes} - await self._written(notes, token)

    async def deliver(self, notes: Sequence[tuple[Notification, int]]) -> set[UUID]:
        """See `NotificationStore`. Most differ in nothing but their id, and one write for many costs far less."""
        alike: dict[tuple[tuple[str, Any], ...], list[Notification]] = defaultdict(list)
        for note, number in notes:
            progress = _progress(note) | {f"attempts.{number}.delivered_at": note.attempts[number].delivered_at}
            changed = {k: v for k, v in progress.items() if k in _ENDING or k.endswith(".delivered_at")}
            alike[(("version", note.version + 1), *changed.items())].append(note)
        lost: set[UUID] = set()
        for changes, some in alike.items():
            token, ids = uuid4().hex, [str(n.id) for n in some]
            result = await self._notes.update_many(
                {"_id": {"$in": ids}, "version": some[0].version}, {"$set": {**dict(changes), "written_by": token}}
            )
            for note in some:
                note.version += 1
            if result.matched_count < len(some):
                lost |= {n.id for n in some} - await self._written(some, token)
        return lost

    async def by_provider_ids(self, ids: Sequence[str]) -> dict[str, Notification]:
        """See `NotificationStore`."""
        if not ids:
            return {}
        named: dict[str, Notification] = {}
        # One branch each: not every server makes ranges of an index of an `$in` over lists.
        async for document in self._notes.find({"$or": [{"provider_ids": id_} for id_ in ids]}):
            note = _notification(document)
            named |= dict.fromkeys(document["provider_ids"], note)
        return named

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

    async def _written(self, notes: Sequence[Notification], token: str) -> set[UUID]:
        found = self._notes.find({"_id": {"$in": [str(n.id) for n in notes]}, "written_by": token}, {"_id": 1})
        return {UUID(d["_id"]) async for d in found}


_ENDING: Final = ("state", "owner", "lease_until", "wake_at", "wait", "ended_at")


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
        **_progress(note),
    }


def _progress(note: Notification) -> dict[str, Any]:
    progress: dict[str, Any] = {
        "state": note.state.value,
        "owner": note.owner,
        "lease_until": note.lease_until,
        "wake_at": note.wake_at,
        "wait": note.wait.value if note.wait else None,
        "attempts": [_attempt_document(a) for a in note.attempts],
        "ended_at": note.ended_at,
        "why": note.why,
    }
    # Absent, not empty, so that the sparse indexes hold only what is looked for.
    if provider_ids := [id_ for a in note.attempts for id_ in a.provider_ids]:
        progress["provider_ids"] = provider_ids
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
        "provider_ids": list(attempt.provider_ids),
        "delivered": sorted(attempt.delivered),
        "delivered_at": attempt.delivered_at,
        "failed_at": attempt.failed_at,
        "why": attempt.why,
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
        attempts=[
            Attempt(
                **{
                    **a,
                    "channel": DeliveryChannel(a["channel"]),
                    "provider_ids": tuple(a["provider_ids"]),
                    "delivered": frozenset(a["delivered"]),
                },
            )
            for a in document["attempts"]
        ],
        ended_at=document["ended_at"],
        why=document["why"],
    )
