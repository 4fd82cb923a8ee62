"""Makes the topics of the registry, dead letters included: `python -m services.runtime.topics`.

May be run at any time and by several at once: what is there stays, and differences that matter are told.
"""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import stamina
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.topics import TOPICS, Topic
from services.runtime import logging
from services.runtime.brokers import connection
from services.runtime.producing import MESSAGE_BYTES_MAX
from services.runtime.settings import RuntimeSettings, load

log = logging.get_logger(__name__)

DEAD_LETTER_RETENTION: Final = timedelta(days=30)
_WAIT_S_MAX: Final = 60.0


class WrongPartitionsError(Exception):
    """Topics exist with another number of partitions than the settings say, so keys would go elsewhere."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    configs: dict[str, str]


def create_topics(settings: RuntimeSettings, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """Make those that are missing; gives their names.

    Raises:
        WrongPartitionsError: one exists with another number of partitions. Nothing is changed.
        KafkaError: Kafka is away for a minute, or refuses.
    """
    return asyncio.run(create_topics_async(settings, topics))


async def create_topics_async(settings: RuntimeSettings, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """As `create_topics`, in a running event loop."""
    wanted = {w.name: w for topic in topics for w in _wanted(topic)}
    admin = await _connect(settings)
    try:
        found = await _partitions(admin, wanted)
        wrong = {name: count for name, count in found.items() if count != settings.partitions}
        if wrong:
            raise WrongPartitionsError(
                f"Every topic must have {settings.partitions} partitions (AMENDS_PARTITIONS), but there are "
                + ", ".join(f"{name} with {count}" for name, count in sorted(wrong.items()))
                + ". Set AMENDS_PARTITIONS to that number, or use a cluster without these topics."
            )
        missing = [w for name, w in wanted.items() if name not in found]
        if missing:
            await _create(admin, missing, settings)
            await _await_leaders(admin, {w.name for w in missing})
        return [w.name for w in missing]
    finally:
        await admin.close()


def _wanted(topic: Topic) -> tuple[_Wanted, _Wanted]:
    retention = "-1" if topic.retention is None else str(int(topic.retention.total_seconds() * 1000))
    dated = {"message.timestamp.type": "LogAppendTime"} if topic.dated_by_broker else {}
    return (
        _Wanted(topic.name, {"retention.ms": retention, "cleanup.policy": "delete"} | dated),
        _Wanted(
            topic.dead_letters,
            {
                "retention.ms": str(int(DEAD_LETTER_RETENTION.total_seconds() * 1000)),
                "cleanup.policy": "delete",
                # The original may be as large as its topic lets it, and the reasons come on top.
                "max.message.bytes": str(MESSAGE_BYTES_MAX + 100_000),
            },
        ),
    )


async def _connect(settings: RuntimeSettings) -> AIOKafkaAdminClient:
    async for attempt in stamina.retry_context(
        on=(KafkaError, OSError), attempts=None, timeout=_WAIT_S_MAX, wait_initial=0.2, wait_max=2.0
    ):
        with attempt:
            admin = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=15_000)
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            return admin
    raise AssertionError("stamina raises the last error")


async def _partitions(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of those that exist."""
    existing = set(await admin.list_topics())
    names = [name for name in names if name in existing]
    described: list[dict[str, Any]] = await admin.describe_topics(names) if names else []
    return {d["topic"]: len(d["partitions"]) for d in described if d["error_code"] == 0}


async def _create(admin: AIOKafkaAdminClient, missing: list[_Wanted], settings: RuntimeSettings) -> None:
    answer = await admin.create_topics(
        [
            NewTopic(
                name=w.name,
                num_partitions=settings.partitions,
                replication_factor=settings.replication_factor,
                topic_configs=w.configs | ({"min.insync.replicas": "2"} if settings.replication_factor >= 3 else {}),
            )
            for w in missing
        ]
    )
    for name, code, *text in answer.topic_errors:
        kind = for_code(code)
        # Another process may have been faster; it makes the same.
        if code != 0 and kind is not TopicAlreadyExistsError:
            raise kind(f"{name}: {text[0] if text else kind.__name__}")


async def _await_leaders(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """A topic can be written to some time after it was made."""
    for _ in range(100):
        described = await admin.describe_topics(sorted(names))
        if all(d["error_code"] == 0 and all(p["leader"] >= 0 for p in d["partitions"]) for d in described):
            return
        await asyncio.sleep(0.1)
    raise KafkaError(f"The topics {', '.join(sorted(names))} have no leader after 10 s: look into the brokers' log")


def main() -> None:
    """Make all topics; exit code 1 when that is not possible."""
    settings = load(RuntimeSettings)
    logging.configure(service="topics", level=settings.log_level, fmt=settings.log_format)
    try:
        made = create_topics(settings)
    except (WrongPartitionsError, KafkaError, OSError) as error:
        sys.stderr.write(f"The topics cannot be made: {error}\n")
        sys.exit(1)
    log.info("topics.ready", made=made)


if __name__ == "__main__":
    main()
