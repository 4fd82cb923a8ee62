"""`amends dead-letters`: list, show, replay and discard what could not be processed.

A replayed message goes back to its topic as it was, with the header `dl_replayed`. What was replayed is remembered as
committed offsets of the consumer group `amends-dead-letters`, one per dead-letter partition, plus the offsets beyond it
in the commit's metadata; so a letter is replayed once unless it is asked for by `--again`. A crash between sending and
remembering sends it twice, which every consumer of Amends survives.

Exit codes: 0 done; 1 nothing fits what was asked for; 2 wrong usage; 3 Kafka does not answer.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar

import click
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry

from schemas.topics import TOPICS
from services.cli.topic_reading import time_of
from services.runtime.brokers import connection
from services.runtime.dead_letters import SUFFIX, Original, reasons, replayed
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Producer, PublishFailed, Record
from services.runtime.settings import RuntimeSettings, load

EXIT_NOTHING: Final = 1
EXIT_KAFKA_AWAY: Final = 3
GROUP: Final = "amends-dead-letters"
_REPLAY_BATCH: Final = 200
_METADATA_BYTES_MAX: Final = 4000

R = TypeVar("R")


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

    def summary(self) -> dict[str, Any]:
        """What `list` shows; never the payload."""
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
        while self.floor in self.beyond:
            self.beyond.discard(self.floor)
            self.floor += 1

    @property
    def metadata(self) -> str:
        """As `__init__` takes it."""
        text = ",".join(map(str, sorted(self.beyond)))
        while len(text) > _METADATA_BYTES_MAX:
            text = text.partition(",")[2]
        return text


@click.group("dead-letters", short_help="Messages that could not be processed.")
def dead_letters() -> None:
    """Look at messages that could not be processed, and send them again."""


@dead_letters.command("list")
@click.option("--topic", help="Only of this topic, with or without `-dlq`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_letters(topic: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List them, oldest first, without their payloads."""
    letters = _run(lambda settings: read_letters(settings, _topics(topic)))
    for letter in letters:
        row = letter.summary()
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            state = "replayed" if row["replayed"] else row["why"]
            told = [row["id"], row["at"][:19], state, row["consumer"], row["type"], row["reason"], row["exception"]]
            click.echo("  ".join(told))
    if not letters and not as_json:
        click.echo("There are no dead letters.")


@dead_letters.command("show")
@click.argument("wanted", metavar="ID")
def show_letter(wanted: str) -> None:
    """Show the one that `list` calls ID with its headers and bytes, as JSON. They may hold sealed personal data."""
    topic = wanted.partition("/")[0]
    letters = _run(lambda settings: read_letters(settings, _topics(topic)))
    letter = next((letter for letter in letters if letter.id == wanted), None)
    if letter is None:
        _stop(f"There is no dead letter {wanted}. `amends dead-letters list` tells which there are.")
    original = letter.original
    shown = letter.summary() | {
        "key": _text(original.key),
        "headers": {name: _text(value) for name, value in original.headers},
        "value": _text(original.value),
    }
    click.echo(json.dumps(shown, ensure_ascii=False, indent=2))


@dead_letters.command("replay")
@click.option("--topic", help="Only of this topic, with or without `-dlq`.")
@click.option("--id", "ids", multiple=True, help="One letter, `topic/partition/offset` as `list` shows it; repeatable.")
@click.option("--all", "everything", is_flag=True, help="All that fit and were not replayed.")
@click.option("--again", is_flag=True, help="Also what was replayed before.")
def replay(topic: str | None, ids: tuple[str, ...], everything: bool, again: bool) -> None:  # noqa: FBT001 - click
    """Send dead letters back to the topics they came from, as they were."""
    if bool(ids) == everything:
        raise click.UsageError("Say which: either --id (repeatable) or --all, with --topic if you like.")

    async def work(settings: RuntimeSettings) -> tuple[list[Letter], int, list[str]]:
        letters = await read_letters(settings, _topics(topic))
        chosen = [letter for letter in letters if everything or letter.id in ids]
        missing = [wanted for wanted in ids if wanted not in {letter.id for letter in chosen}]
        fresh = [letter for letter in chosen if again or not letter.was_replayed]
        foreign = [letter.id for letter in fresh if not reasons(letter.original.headers).get("topic")]
        sent = [letter for letter in fresh if letter.id not in foreign]
        await _replay(settings, sent)
        problems = [f"{wanted}: there is no such dead letter" for wanted in missing]
        problems += [f"{found}: no header says which topic it came from" for found in foreign]
        return sent, len(chosen) - len(fresh), problems

    sent, skipped, problems = _run(work)
    for letter in sent:
        click.echo(f"{letter.id} -> {reasons(letter.original.headers)['topic']}")
    click.echo(f"{len(sent)} replayed, {skipped} had been replayed before{' (use --again)' if skipped else ''}.")
    for problem in problems:
        click.echo(problem, err=True)
    if problems or (not sent and not skipped):
        sys.exit(EXIT_NOTHING)


@dead_letters.command("discard")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def discard(ids: tuple[str, ...]) -> None:
    """Give letters up that can never be mended. They stay in their topic, and count as replayed from now on."""

    async def work(settings: RuntimeSettings) -> tuple[list[Letter], list[str]]:
        letters = await read_letters(settings, sorted({wanted.partition("/")[0] for wanted in ids}))
        chosen = [letter for letter in letters if letter.id in ids and not letter.was_replayed]
        if chosen:
            async with _consumer(settings) as consumer:
                await _remember(consumer, chosen)
        return chosen, [wanted for wanted in ids if wanted not in {letter.id for letter in letters}]

    chosen, missing = _run(work)
    for letter in chosen:
        click.echo(f"{letter.id} discarded")
    for wanted in missing:
        click.echo(f"{wanted}: there is no such dead letter", err=True)
    if missing:
        sys.exit(EXIT_NOTHING)


def _topics(name: str | None) -> list[str]:
    if name is None:
        return [topic.dead_letters for topic in TOPICS.values()]
    return [name if name.endswith(SUFFIX) else name + SUFFIX]


def _run(work: Callable[[RuntimeSettings], Awaitable[R]]) -> R:
    settings = load(RuntimeSettings)

    async def limited() -> R:
        return await work(settings)

    try:
        return asyncio.run(limited())
    except (KafkaError, PublishFailed, OSError) as error:
        click.echo(f"Kafka at {settings.kafka} does not answer ({type(error).__name__}): {error}", err=True)
        sys.exit(EXIT_KAFKA_AWAY)


def _stop(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(EXIT_NOTHING)


async def read_letters(settings: RuntimeSettings, topics: Sequence[str]) -> list[Letter]:
    """Every dead letter there is, oldest first."""
    places = await _places(settings, topics)
    if not places:
        return []
    async with _consumer(settings) as consumer:
        consumer.assign(places)
        remembered = await _remembered(consumer, places)
        beginnings, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        waiting = {place for place in places if beginnings[place] < ends[place]}
        for place in places:
            consumer.seek(place, beginnings[place])
        letters: list[Letter] = []
        while waiting:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                letters += [_letter(record, was_replayed=record.offset in remembered[place]) for record in records]
            for place in list(waiting):
                if await consumer.position(place) >= ends[place]:
                    waiting.discard(place)
        return sorted(letters, key=lambda letter: (letter.at, letter.id))


async def _places(settings: RuntimeSettings, topics: Sequence[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=10_000)
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        wanted = [topic for topic in topics if topic in existing]
        # Kafka takes "no topic" for "every topic".
        described = await admin.describe_topics(wanted) if wanted else []
        return [TopicPartition(d["topic"], found["partition"]) for d in described for found in d["partitions"]]
    finally:
        await admin.close()


async def _replay(settings: RuntimeSettings, letters: Sequence[Letter]) -> None:
    """Send, then remember; in this order, so that nothing is remembered that was not sent."""
    if not letters:
        return
    producer = Producer(settings, ProducingMetrics(CollectorRegistry()))
    try:
        async with _consumer(settings) as consumer:
            for start in range(0, len(letters), _REPLAY_BATCH):
                some = letters[start : start + _REPLAY_BATCH]
                now = datetime.now(UTC)
                records: list[Record] = [replayed(letter.original, at=now) for letter in some]
                await producer.publish_records(records)
                await _remember(consumer, some)
    finally:
        await producer.stop()


async def _remembered(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Remembered]:
    found = await consumer._coordinator.fetch_committed_offsets(list(places))  # noqa: SLF001 - the only way to metadata
    return {
        place: Remembered(max(0, found[place].offset), found[place].metadata) if place in found else Remembered(0, "")
        for place in places
    }


async def _remember(consumer: AIOKafkaConsumer, letters: Sequence[Letter]) -> None:
    places = sorted({TopicPartition(letter.original.topic, letter.original.partition) for letter in letters})
    consumer.assign(places)
    remembered = await _remembered(consumer, places)
    for letter in letters:
        remembered[TopicPartition(letter.original.topic, letter.original.partition)].add(letter.original.offset)
    await consumer.commit(
        {place: OffsetAndMetadata(known.floor, known.metadata) for place, known in remembered.items()}
    )


@asynccontextmanager
async def _consumer(settings: RuntimeSettings) -> Any:
    consumer = AIOKafkaConsumer(
        **connection(settings),
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


def _text(value: bytes | None) -> str | dict[str, str] | None:
    """Text as text, other bytes as hexadecimal."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
