"""The router's job on quixstreams: a StreamingDataFrame that stores with pymongo and goes on to the topic of events.

Its checkpoints flush the producer and then commit; `at-least-once` is its default, as is `acks=all`.
"""

import os
from pathlib import Path
from typing import Any

from pymongo import MongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError
from quixstreams import Application
from quixstreams.models import SerializationContext, Serializer

from schemas.codec import Encoded
from schemas.events import TicketEvent
from tests.peers.job import Case, Reader, encoded, event_documents, opened_document, ticket_document

reader = Reader(Path(os.environ["PEER_KEYRING"]))
database: Any = MongoClient(os.environ["PEER_MONGO"])[os.environ["PEER_DATABASE"]]


class Payload(Serializer):
    """The value of an encoded message, which brings its key and headers along."""

    def __call__(self, value: Encoded, ctx: SerializationContext) -> bytes:
        return value.value


def store(case: Case) -> list[TicketEvent]:
    """As `storing.store`, blocking."""
    held = holder(case)
    fate = case.fate(held)
    try:
        database["complaints"].insert_one(fate)
    except DuplicateKeyError:
        return []  # It was handled before.
    database["contacts"].insert_one(case.contact(fate))
    if held is None:
        counter = database["numbers"].find_one_and_update(
            {"_id": case.month}, {"$inc": {"last": 1}}, return_document=ReturnDocument.AFTER
        )
        events = case.opened(counter["last"])
        database["ticket_events"].insert_many(event_documents(events))
        database["tickets"].insert_one(opened_document(events))
        return events
    stored = list(database["ticket_events"].find({"ticket_id": fate["ticket_id"]}).sort("sequence", 1))
    events = case.followed_up(fate, stored)
    documents = event_documents(events)
    database["ticket_events"].insert_many(documents)
    database["tickets"].replace_one({"_id": fate["ticket_id"]}, ticket_document([*stored, *documents]))
    return events


def holder(case: Case) -> dict[str, Any] | None:
    """As `storing._holder`, blocking."""
    for claim in case.claims:
        try:
            database["claims"].insert_one(case.claim(claim))
        except DuplicateKeyError:
            held: dict[str, Any] = database["claims"].find_one({"_id": claim.id})
            if held["complaint_id"] != case.id and claim.same_matter(waybills=held["waybills"]):
                return held
    return None


def route(value: bytes, _key: Any, _timestamp: int, headers: Any) -> list[Encoded]:
    return encoded(store(reader.read(value, headers or ())))


def main() -> None:
    app = Application(
        broker_address=os.environ["PEER_KAFKA"],
        consumer_group=os.environ["PEER_GROUP"],
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        state_dir=os.environ["PEER_FOLDER"],
        loglevel="WARNING",
    )
    complaints = app.topic("complaint-submitted", value_deserializer="bytes", key_deserializer="bytes")
    ticket_events = app.topic("ticket-event", value_serializer=Payload(), key_serializer="bytes")
    stream = app.dataframe(complaints).apply(route, expand=True, metadata=True)
    stream = stream.set_headers(lambda message, *_: message.headers)
    stream.to_topic(ticket_events, key=lambda message: message.key)
    app.run()


main()
