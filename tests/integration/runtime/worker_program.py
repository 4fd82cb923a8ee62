"""A service as a process: `worker_program TOPIC GROUP MODE FILE`. What it handles it appends to FILE, one a line."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from schemas.message import Message
from services.runtime.consuming import Consumption, Received, Refusal
from services.runtime.metrics import ConsumingMetrics, ProducingMetrics
from services.runtime.producing import Producer
from services.runtime.readiness import Readiness
from services.runtime.settings import RuntimeSettings, load
from services.runtime.worker import run
from tests.integration.runtime.probing import Probe, probe_topic


def main() -> None:
    """Run as a service does."""
    topic, group, mode, file = sys.argv[1:]
    settings = load(RuntimeSettings)
    registry, readiness = CollectorRegistry(), Readiness()
    producer = Producer(settings, ProducingMetrics(registry))
    work = Path(file)

    def write(word: str, batch: Sequence[Received[Message]]) -> None:
        with work.open("a") as lines:
            lines.writelines(f"{word}{r.message.number}\n" for r in batch if isinstance(r.message, Probe))

    async def handler(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        write("begun ", batch)
        if mode == "block":
            time.sleep(600)  # noqa: ASYNC251 - the fault that is to be shown
        if mode == "hang":
            await asyncio.Event().wait()
        if mode == "slow":
            await asyncio.sleep(1.0)
        if mode == "crash":
            await consumption._app.crash(RuntimeError("gone"))  # type: ignore[union-attr]
        write("", batch)
        return []

    consumption = Consumption(
        group,
        [probe_topic(topic)],
        handler,
        settings,
        producer,
        ConsumingMetrics(registry),
        readiness=readiness,
        batch_max=20,
    )
    run(settings, [producer, consumption], readiness=readiness, registry=registry)


if __name__ == "__main__":
    main()
