"""The router's job as a Faust agent, an event at a time, each write and each send awaited: faust-streaming's tutorial.

In Faust's favour: raw bytes instead of `faust.Record`, no web server, uvloop, its memory store.
"""

import os
import sys
from pathlib import Path

import faust
from motor.motor_asyncio import AsyncIOMotorClient

from tests.peers.job import Reader, encoded
from tests.peers.programs.storing import store

reader = Reader(Path(os.environ["PEER_KEYRING"]))
app = faust.App(
    os.environ["PEER_GROUP"],
    broker=f"kafka://{os.environ['PEER_KAFKA']}",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
    topic_partitions=12,
    topic_disable_leader=True,
    web_enabled=False,
    datadir=os.environ["PEER_FOLDER"],
)
complaints = app.topic("complaint-submitted", value_type=bytes, value_serializer="raw", key_type=bytes)
ticket_events = app.topic(
    "ticket-event", value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw"
)
mongo = AsyncIOMotorClient(os.environ["PEER_MONGO"])
database = mongo[os.environ["PEER_DATABASE"]]


@app.agent(complaints, concurrency=int(os.environ.get("PEER_CONCURRENCY", "1")))
async def route(stream):
    async for event in stream.events():
        case = reader.read(event.message.value, event.message.headers or ())
        for message in encoded(await store(database, case)):
            await ticket_events.send(key=message.key, value=message.value, headers=dict(message.headers))


if __name__ == "__main__":
    sys.argv = ["faust", "--loop", "uvloop", "worker", "--loglevel", "WARN", "--without-web"]
    app.main()
