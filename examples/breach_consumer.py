"""Keep the breaches that stand, whatever is redelivered and in whatever order.

`AMENDS_KAFKA=host:port python examples/breach_consumer.py` waits for breaches until Ctrl-C; the address of the local
stack is "kafka" in `.run/run.json`. What was seen is kept in the file `BREACHES_DB`.

Breaches come on `sla-breached`. One that an event of an earlier time overtook is taken back by a `corrected` on
`sla-event`, perhaps before the breach itself is read. Each is remembered under the breach's id, and the offset is
committed after that: what comes again changes nothing.
"""

import asyncio
import json
import os
import sqlite3

from aiokafka import AIOKafkaConsumer, ConsumerRecord

TABLES = """CREATE TABLE IF NOT EXISTS breach (id TEXT PRIMARY KEY, unit TEXT, clock TEXT, due_at TEXT);
CREATE TABLE IF NOT EXISTS taken_back (id TEXT PRIMARY KEY);
CREATE VIEW IF NOT EXISTS standing AS SELECT * FROM breach WHERE id NOT IN (SELECT id FROM taken_back);"""


def take(db: sqlite3.Connection, record: ConsumerRecord) -> None:
    """Remember a breach, or that one is taken back; the view `standing` has what is to be charged."""
    fact, type_ = json.loads(record.value), dict(record.headers)["ce_type"].decode()
    if record.topic == "sla-breached":
        row = (fact["fact_id"], fact["unit"] or fact["department"], fact["clock"], fact["due_at"])
        if db.execute("INSERT OR IGNORE INTO breach VALUES (?, ?, ?, ?)", row).rowcount:
            print(f"{row[1]} missed {row[2]} of ticket {fact['ticket_id']} at {row[3]}", flush=True)
    elif type_.startswith("amends.sla.corrected."):  # of any fact; the ids of others than breaches do no harm
        db.execute("INSERT OR IGNORE INTO taken_back VALUES (?)", (fact["corrects"],))


async def main() -> None:
    db = sqlite3.connect(os.environ.get("BREACHES_DB", "breaches.sqlite"), isolation_level=None)
    db.executescript(TABLES)
    consumer = AIOKafkaConsumer(
        "sla-breached",
        "sla-event",
        bootstrap_servers=os.environ.get("AMENDS_KAFKA", "127.0.0.1:9092"),
        group_id="penalties",
        auto_offset_reset="earliest",  # a new consumer starts with the whole history
        enable_auto_commit=False,  # commit what is handled, not what was fetched
    )
    async with consumer:
        async for record in consumer:
            take(db, record)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main())
