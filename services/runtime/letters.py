"""The dead letters of all topics: read, replayed once, discarded.

A replayed message goes back to its topic as it was, with the header `dl_replayed`. What was replayed is remembered as
committed offsets of the consumer group `amends-dead-letters`, one per dead-letter partition, plus the offsets beyond it
in the commit's metadata. Kafka forgets what a group without members has committed, after seven days unless it is told
otherwise; so the desk commits it again every few hours (`KafkaLetters.keep`). A letter is replayed once unless it
is asked for again. A crash between sending and remembering sends it twice, which every consumer of Amends survives.
"""

from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry

from schemas.topics import TOPICS
from services.runtime.brokers import connection
from services.runtime.dead_letters import SUFFIX, Original, reasons, replayed
from services.runtime.logging import get_logger
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Producer, PublishFailed, Record
from services.runtime.settings import RuntimeSettings

log = get_logger(__name__)

AWAY: Final = (KafkaError, PublishFailed, OSError)
"""What is raised when Kafka does not answer. What was sent until then is remembered, up to a batch."""
GROUP: Final = "amends-dead-letters"
KEEP_S: Final = 6 * 3600.0
_REPLAY_BATCH: Final = 200
_METADATA_BYTES_MAX: Final = 4000


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter and whether it was replayed."""

    original: Original
    at: datetime
    was_replayed: bool

    @property
    def id(self) -> str:
        """`topic/partition/offset` in the dead-letter topic."""
        return f"{self.original.topic}/{self.original.partition}/{self.original.offset}"

    @property
    def home(self) -> str:
        """The topic that it goes back to; empty when no header names it, or when only a part of it is here."""
        told = reasons(self.original.headers)
        return "" if "cut" in told else told.get("topic", "")

    def summary(self) -> dict[str, Any]:
        """What lists show; never the payload."""
        told = reasons(self.original.headers)
        headers = dict(self.original.headers)
        return {
            "id": self.id,
            "at": told.get("at", self.at.isoformat()),
            "why": told.get("why", ""),
            "reason": told.get("reason", ""),
            "exception": told.get("exception", ""),
            "consumer": told.get("consumer", ""),
            "topic": told.get("topic", ""),
            "partition": _number(told.get("partition")),
            "offset": _number(told.get("offset")),
            "type": (headers.get("ce_type") or b"").decode("utf-8", "replace"),
            "subject": (headers.get("ce_subject") or b"").decode("utf-8", "replace"),
            "replayed": self.was_replayed,
        }


class Remembered:
    """Which offsets of one partition were replayed: all below `floor`, and those in `beyond`."""

    def __init__(self, floor: int, metadata: str) -> None:
        self.floor = floor
        self.beyond = {int(part) for part in metadata.split(",") if part}

    def __contains__(self, offset: int) -> bool:
        return offset < self.floor or offset in self.beyond

    def add(self, offset: int) -> None:
        """Remember one; with too many gaps for the broker to keep, the lowest ones beyond the floor are forgotten."""
        if offset >= self.floor:
            self.beyond.add(offset)
        self._raise_floor()

    def _raise_floor(self) -> None:
        while self.floor in self.beyond:
            self.beyond.discard(self.floor)
            self.floor += 1

    def forget_before(self, first: int) -> None:
        """Nothing before `first` is there any more."""
        self.floor = max(self.floor, first)
        self.beyond = {offset for offset in self.beyond if offset >= self.floor}
        self._raise_floor()

    @property
    def metadata(self) -> str:
        """As `__init__` takes it."""
        text = ",".join(map(str, sorted(self.beyond)))
        while len(text) > _METADATA_BYTES_MAX:
            text = text.partition(",")[2]
        return text


class KafkaLetters:
    """Those of one Kafka. Connections are opened for each call. Every method raises one of `AWAY`."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings

    async def read(self, topics: Sequence[str], *, latest: int | None = None) -> list[Letter]:
        """Dead letters, oldest first.

        Args:
            topics: names of dead-letter topics; those that do not exist have none.
            latest: at most so many of each partition, the newest; None: all that there are.
        """
        places = await self._places(topics)
        if not places:
            return []
        async with self._consumer() as consumer:
            consumer.assign(places)
            remembered = await _remembered(consumer, places)
            beginnings, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            waiting = {place for place in places if beginnings[place] < ends[place]}
            for place in places:
                newest = beginnings[place] if latest is None else ends[place] - latest
                consumer.seek(place, max(beginnings[place], newest))
            letters: list[Letter] = []
            while waiting:
                for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                    letters += [_letter(record, was_replayed=record.offset in remembered[place]) for record in records]
                for place in list(waiting):
                    if await consumer.position(place) >= ends[place]:
                        waiting.discard(place)
            return sorted(letters, key=lambda letter: (letter.at, letter.id))

    async def replay(self, letters: Sequence[Letter]) -> None:
        """Send, then remember; in this order, so that nothing is remembered that was not sent.

        Raises:
            ValueError: one of them has no `home`.
        """
        if not letters:
            return
        producer = Producer(self._settings, ProducingMetrics(CollectorRegistry()))
        try:
            async with self._consumer() as consumer:
                for start in range(0, len(letters), _REPLAY_BATCH):
                    some = letters[start : start + _REPLAY_BATCH]
                    now = datetime.now(UTC)
                    records: list[Record] = [replayed(letter.original, at=now) for letter in some]
                    await producer.publish_records(records)
                    await _remember(consumer, some)
        finally:
            await producer.stop()

    async def discard(self, letters: Sequence[Letter]) -> None:
        """Give up what can never be mended: it stays in its topic, and counts as replayed from now on."""
        if letters:
            async with self._consumer() as consumer:
                await _remember(consumer, letters)

    async def keep(self, topics: Sequence[str] | None = None) -> None:
        """Have Kafka remember for another while what was replayed, of all our topics unless some are named."""
        try:
            places = await self._places(dead_letter_topics() if topics is None else topics)
            async with self._consumer() as consumer:
                consumer.assign(places)
                known = await _remembered(consumer, places)
                if known := {place: one for place, one in known.items() if one.floor or one.beyond}:
                    await _commit(consumer, known)
        except AWAY as error:
            log.warning("dead_letters.not_kept", error=type(error).__name__)

    async def _places(self, topics: Sequence[str]) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(**connection(self._settings), request_timeout_ms=10_000)
        try:
            await admin.start()
            existing = set(await admin.list_topics())
            wanted = [topic for topic in topics if topic in existing]
            # Kafka takes "no topic" for "every topic".
            described = await admin.describe_topics(wanted) if wanted else []
            return [TopicPartition(d["topic"], found["partition"]) for d in described for found in d["partitions"]]
        finally:
            await admin.close()

    @asynccontextmanager
    async def _consumer(self) -> Any:
        consumer = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=10_000,
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


def dead_letter_topics(name: str | None = None) -> list[str]:
    """Of one topic, named with or without `-dlq`; of all of ours without a name."""
    if name is None:
        return [topic.dead_letters for topic in TOPICS.values()]
    return [name if name.endswith(SUFFIX) else name + SUFFIX]


def time_of(record: Any) -> datetime:
    """When the broker or the producer says that it was; the epoch where that is no time at all."""
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # somebody else's record
        return datetime.fromtimestamp(0, UTC)


async def _remembered(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Remembered]:
    """Those that are gone from their topic count as replayed, so that what is remembered does not grow for ever."""
    if not places:
        return {}
    found = await consumer._coordinator.fetch_committed_offsets(list(places))  # noqa: SLF001 - the only way to metadata
    known = {
        place: Remembered(max(0, found[place].offset), found[place].metadata) if place in found else Remembered(0, "")
        for place in places
    }
    for place, first in (await consumer.beginning_offsets(places)).items():
        known[place].forget_before(first)
    return known


async def _remember(consumer: AIOKafkaConsumer, letters: Sequence[Letter]) -> None:
    places = sorted({TopicPartition(letter.original.topic, letter.original.partition) for letter in letters})
    consumer.assign(places)
    remembered = await _remembered(consumer, places)
    for letter in letters:
        remembered[TopicPartition(letter.original.topic, letter.original.partition)].add(letter.original.offset)
    await _commit(consumer, remembered)


async def _commit(consumer: AIOKafkaConsumer, remembered: Mapping[TopicPartition, Remembered]) -> None:
    await consumer.commit(
        {place: OffsetAndMetadata(known.floor, known.metadata) for place, known in remembered.items()}
    )


def _letter(record: Any, *, was_replayed: bool) -> Letter:
    return Letter(
        original=Original(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        ),
        at=time_of(record),
        was_replayed=was_replayed,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 20 else None
