"""The router's job as an aiokafka loop: `getmany`, a record at a time, offsets committed by hand when all are through.

As its documentation shows at-least-once: the acknowledgements of a round are awaited together, then it commits.
"""

import asyncio
import os
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from motor.motor_asyncio import AsyncIOMotorClient

from tests.peers.job import Reader, encoded
from tests.peers.programs.storing import store


async def main() -> None:
    reader = Reader(Path(os.environ["PEER_KEYRING"]))
    database = AsyncIOMotorClient(os.environ["PEER_MONGO"])[os.environ["PEER_DATABASE"]]
    consumer = AIOKafkaConsumer(
        "complaint-submitted",
        bootstrap_servers=os.environ["PEER_KAFKA"],
        group_id=os.environ["PEER_GROUP"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["PEER_KAFKA"], acks="all", enable_idempotence=True, linger_ms=5
    )
    async with consumer, producer:
        while True:
            batches = await consumer.getmany(timeout_ms=1000, max_records=100)
            sent = []
            for records in batches.values():
                for record in records:
                    case = reader.read(record.value, record.headers)
                    for m in encoded(await store(database, case)):
                        future = await producer.send("ticket-event", m.value, key=m.key, headers=m.headers)
                        sent.append(future)
            await asyncio.gather(*sent)
            await consumer.commit()


uvloop.run(main())
