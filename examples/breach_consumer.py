"""Follow `sla-breached` and act once per breach, whatever is redelivered: `python examples/breach_consumer.py`.

An id is remembered in the same write that acts on it, and the offset is committed after that: a crash between the two
only means that the record comes again and is recognised.
"""

import asyncio
import json
import os
import sqlite3

from aiokafka import AIOKafkaConsumer


async def main() -> None:
    handled = sqlite3.connect(os.environ.get("BREACHES_DB", "breaches.sqlite"), isolation_level=None)
    handled.execute("CREATE TABLE IF NOT EXISTS breach (id TEXT PRIMARY KEY, unit TEXT, clock TEXT, due_at TEXT)")
    consumer = AIOKafkaConsumer(
        "sla-breached",
        bootstrap_servers=os.environ.get("AMENDS_KAFKA", "127.0.0.1:9092"),
        group_id="penalties",
        auto_offset_reset="earliest",  # a new consumer starts with the whole history
        enable_auto_commit=False,  # commit what is handled, not what was fetched
    )
    async with consumer:
        async for record in consumer:
            breach_id = dict(record.headers)["ce_id"].decode()
            breach = json.loads(record.value)
            row = (breach_id, breach["unit"] or breach["department"], breach["clock"], breach["due_at"])
            # The id is the same in every redelivery and replay: the second time nothing is inserted.
            if handled.execute("INSERT OR IGNORE INTO breach VALUES (?, ?, ?, ?)", row).rowcount:
                print(f"{row[1]} missed {row[2]} of ticket {breach['ticket_id']} at {row[3]}", flush=True)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main())
