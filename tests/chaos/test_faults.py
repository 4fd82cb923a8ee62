"""Whatever fails and when: nothing accepted is lost, nothing is doubled, no deadline is missed."""

import asyncio
import random
import shlex
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.sla import SlaResumed, SlaRetargeted, SlaStarted
from schemas.topics import SLA_BREACHED, SLA_EVENT
from services.cli.topic_reading import read_to_end
from services.runtime.settings import RuntimeSettings
from tests.chaos.faults import FAULTS, schedule
from tests.chaos.load import Load
from tests.chaos.report import Limit, Result, Span, limit_of, page
from tests.chaos.whole_system import System, settle, whole_system

pytestmark = [pytest.mark.integration, pytest.mark.timeout(4500)]

SHORT = [
    "kill_intake", "kill_router", "kill_sla_monitor", "kill_notifier", "kill_broker", "kill_database", "kill_redis",
    "redis_flushed", "pause_service_long", "gateway_hangs_up",
]  # fmt: skip
"""What `make test` injects, with one broker: no fault that needs more than a few seconds."""

LIMITING = {fact.ce_type() for fact in (SlaStarted, SlaRetargeted, SlaResumed)}
"""Facts that say when a clock is due."""

GIVEN_BY_PEOPLE = ("--faults", "--baseline", "--chaos-seed", "--kinds")


@dataclass(frozen=True)
class Plan:
    """How a run goes."""

    kinds: list[str]
    seed: int
    brokers: int
    baseline_s: float
    report: str
    command: str


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    """The short run or the long one, as the command line says."""
    option = request.config.getoption
    seed = int(option("--chaos-seed"))
    if option("--chaos") == "short":
        return Plan(kinds=SHORT, seed=seed, brokers=1, baseline_s=0.0, report="", command="make test")
    kinds = option("--kinds").split(",") if option("--kinds") else schedule(option("--faults"), seed=seed)
    own = [arg for arg in request.config.invocation_params.args if arg.startswith(GIVEN_BY_PEOPLE)]
    return Plan(
        kinds=kinds, seed=seed, brokers=3, baseline_s=option("--baseline"), report=option("--report"),
        command="make chaos" + (f" ARGS={shlex.quote(' '.join(own))}" if own else ""),
    )  # fmt: skip


async def test_nothing_is_lost_doubled_or_missed_under_faults(tmp_path, plan, monkeypatch):
    """One fault after the other under a steady load: what was acknowledged came out, once, and in time."""
    monkeypatch.setenv("AMENDS_PARTITIONS", "6")
    began = time.monotonic()
    workers = dict.fromkeys(("intake", "router", "sla_monitor", "notifier"), 2)
    with whole_system(tmp_path / "run", workers=workers, brokers=plan.brokers, breakable=True) as system:
        await let_the_broker_date(system, brokers=plan.brokers)
        load = Load(system, seed=plan.seed, per_s=1, commands_per_s=0.5)
        async with load.running():
            start = datetime.now(UTC)
            await asyncio.sleep(plan.baseline_s)
            baseline = (start, datetime.now(UTC))
            rng = random.Random(plan.seed + 1)
            spans = [await inflict(kind, system, load, rng) for kind in plan.kinds]
        snapshot, found = await settle(system, seconds=180)
        told_at, limited_at = await told(system)
    result = Result(
        spans=spans,
        baseline=baseline,
        snapshot=snapshot,
        found=found,
        told_at=told_at,
        limited_at=limited_at,
        counts=load.counts,
        commands=len(load.commands),
        left_out=[name for name, fault in FAULTS.items() if not fault.possible()],
    )
    text = page(result, seed=plan.seed, command=plan.command, took_s=time.monotonic() - began)
    say(text)
    if plan.report:
        Path(plan.report).write_text(text)  # noqa: ASYNC240  # nothing else runs any more
    assert load.mistakes == []
    assert set(load.accepted.values()) == set(snapshot.submitted)
    assert {str(command) for command in load.commands} <= set(snapshot.commands)
    assert found == []


async def inflict(kind: str, system: System, load: Load, rng: random.Random) -> Span:
    """One fault from its injection to the moment when all is well again."""
    injected_at = datetime.now(UTC)
    async with FAULTS[kind].inject(system, rng) as injected:
        await asyncio.sleep(injected.lasts_s)
    healed_at = datetime.now(UTC)
    try:
        await load.resumed(time.monotonic())
        resumed_at = datetime.now(UTC)
        await system.ready()
    except (TimeoutError, AssertionError) as error:
        raise AssertionError(
            f"after {kind} of {injected.subject} at {injected_at:%H:%M:%S} it did not resume"
        ) from error
    await asyncio.sleep(rng.uniform(0.2, 1.0))
    span = Span(
        kind=kind, subject=injected.subject, injected_at=injected_at, healed_at=healed_at, resumed_at=resumed_at,
        ended_at=datetime.now(UTC),
    )  # fmt: skip
    say(str(span))
    return span


def say(text: str) -> None:
    """Show how the run goes; pytest hides it unless it is told not to."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def let_the_broker_date(system: System, *, brokers: int) -> None:
    """Have the broker write its own time on breaches: the only clock that no fault sets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.run["kafka"])
    await admin.start()
    configs = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    if brokers >= 3:
        configs["min.insync.replicas"] = "2"
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, SLA_BREACHED.name, configs)])
    finally:
        await admin.close()


async def told(system: System) -> tuple[dict[str, datetime], dict[Limit, datetime]]:
    """When the broker had each breach first, and when each due time was first told."""
    breaches: dict[str, datetime] = {}
    limits: dict[Limit, datetime] = {}
    topics = [SLA_BREACHED.name, SLA_EVENT.name]
    async for record in read_to_end(RuntimeSettings(kafka=system.run["kafka"]), topics):
        if record.payload is None:
            continue
        if record.topic == SLA_BREACHED.name:
            breaches.setdefault(record.payload["fact_id"], record.at)
        elif record.type in LIMITING:
            limits.setdefault(limit_of(record.payload), record.at)
    return breaches, limits
