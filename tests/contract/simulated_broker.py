"""The bench of the real broker on the simulated one, and the way to run a test on both."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from schemas.topics import Topic
from services.runtime.consuming import BatchHandler
from services.runtime.ledger import Place
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Producer
from tests.contract.virtual_time import in_virtual_time
from tests.integration.runtime.probing import PARTITIONS, Bench, Member, probe_topic
from tests.simulation import broker as simulated
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.network import Way

Scenario = Callable[[Bench], Awaitable[None]]


def on_each_broker(scenario: Scenario) -> Callable[..., None]:
    """A test that holds on the simulated broker, in virtual time, and on the real one."""

    @pytest.mark.parametrize("broker", ["simulated", pytest.param("real", marks=pytest.mark.integration)])
    def test(broker: str, request: pytest.FixtureRequest, topic_prefix: str) -> None:
        if broker == "real":
            asyncio.run(_run(Bench(request.getfixturevalue("kafka"), topic_prefix), scenario))
        else:
            in_virtual_time(lambda loop: _run(SimulatedBench(loop), scenario))

    test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__  # type: ignore[attr-defined]
    return test


async def _run(bench: Bench, scenario: Scenario) -> None:
    await bench.producer.start()
    try:
        await scenario(bench)
    finally:
        for member in bench.members:
            if not member.ended:
                await member.stop()
        await bench.producer.stop()


class SimulatedMember(Member):
    """A consumption in a process of its own."""

    process: Process

    async def stop(self) -> None:
        """Gracefully."""
        await self.process.spawn(self.consumption.stop())
        self.process.kill()

    async def die(self) -> None:
        """At once."""
        self.process.kill()

    async def fall_behind(self) -> None:
        """Stand still for longer than a session lasts."""
        self.process.freeze()
        await asyncio.sleep(simulated.SESSION_S + 0.1)
        self.process.thaw()


class SimulatedBench(Bench):
    """Topics and groups on a broker that is the test's own."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__("nowhere:1", "")
        way = Way(loop, random.Random(1), (0.001, 0.03), patience_s=2.0)
        self.broker = simulated.Broker(loop, way, partitions=PARTITIONS)
        self._loop = loop
        self._members = 0
        self.producer = Producer(
            self.settings(),
            ProducingMetrics(CollectorRegistry()),
            publish_s_max=5.0,
            client=partial(simulated.Producer, self.broker),  # type: ignore[arg-type]
        )

    async def topic(self, name: str = "in", *, partitions: int = PARTITIONS, **_configs: str) -> Topic:
        """A topic of probes. All topics of a simulation have the same number of partitions."""
        self.broker.log.partitions = partitions
        return probe_topic(name)

    async def join(self, topics: Sequence[Topic], handler: BatchHandler, **given: Any) -> Member:
        """A new process, started."""
        self._members += 1
        process = Process(self._loop, f"member#{self._members}")

        async def start() -> SimulatedMember:
            application = partial(simulated.Application, self.broker)
            member = SimulatedMember(self.consumption(topics, handler, application=application, **given))
            await member.consumption.start()
            return member

        member: SimulatedMember = await process.spawn(start())
        member.process = process
        return member

    async def committed(self, group: str) -> int:
        """The sum of the offsets that the group has committed."""
        return sum(self.broker.group(group).committed.values())

    async def records(self, topic: str) -> list[Any]:
        """Everything in a topic."""
        partitions = range(self.broker.log.partitions)
        return [record for p in partitions for record in self.broker.log.records.get(Place(topic, p), [])]
