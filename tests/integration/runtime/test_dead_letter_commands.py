"""`amends dead-letters` on a real broker."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from click.testing import CliRunner, Result

from schemas.message import Message
from services.cli.dead_letters import dead_letters
from services.runtime.consuming import Received, Refusal
from services.runtime.letters import KafkaLetters
from tests.integration.runtime.probing import Bench, Log, eventually, probes


@pytest.fixture
def amends(kafka: str, monkeypatch: pytest.MonkeyPatch) -> "Amends":
    """Runs the command against the session's broker."""
    monkeypatch.setenv("AMENDS_KAFKA", kafka)
    return Amends()


class Amends:
    """The command."""

    async def __call__(self, *arguments: str) -> Result:
        """In a thread, as it has an event loop of its own."""
        return await asyncio.to_thread(CliRunner().invoke, dead_letters, list(arguments))


async def test_letters_are_listed_shown_and_replayed_once(bench: Bench, amends: Amends) -> None:
    """A replayed message is the original; a second replay sends nothing unless it is asked to."""
    topic, log = await bench.topic(), Log()

    async def refuses(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        return [Refusal(r, "not now") for r in batch if r.offset == 0]

    await bench.publish(topic, probes(10))
    async with bench.consuming([topic], refuses) as consumption:
        await eventually(lambda: consumption.finished == 10)

    listed = await amends("list", "--topic", topic.name, "--json")
    rows = [json.loads(line) for line in listed.output.splitlines()]
    assert listed.exit_code == 0
    assert [(row["reason"], row["topic"], row["offset"], row["replayed"]) for row in rows] == [
        ("not now", topic.name, 0, False)
    ] * 2
    shown = await amends("show", rows[0]["id"])
    assert json.loads(json.loads(shown.output)["value"])["number"] in range(10)

    one = await amends("replay", "--topic", topic.name, "--id", rows[0]["id"])
    assert (one.exit_code, one.output.splitlines()[-1]) == (0, "1 replayed, 0 had been replayed before.")
    rest = await amends("replay", "--topic", topic.name, "--all")
    assert rest.output.splitlines()[-1].startswith("1 replayed, 1 had been")
    nothing = await amends("replay", "--topic", topic.name, "--all")
    assert (nothing.exit_code, nothing.output.splitlines()[-1][:10]) == (0, "0 replayed")
    async with bench.consuming([topic], log):
        await eventually(lambda: len(log.received) == 2)
    originals = {(r.key, r.value) for r in await bench.records(topic.name) if r.offset == 0}
    assert {(r.original.key, r.original.value) for r in log.received} == originals
    assert all("dl_replayed" in dict(r.original.headers) for r in log.received)


async def test_a_discarded_letter_is_not_replayed(bench: Bench, amends: Amends) -> None:
    """It stays where it is, and nobody is told of it again as open."""
    topic = await bench.topic()

    async def refuses(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        return [Refusal(r, "never") for r in batch]

    await bench.publish(topic, probes(2))
    async with bench.consuming([topic], refuses) as consumption:
        await eventually(lambda: consumption.finished == 2)
    listed = (await amends("list", "--topic", topic.name, "--json")).output.splitlines()
    first, second = (json.loads(line)["id"] for line in listed)
    assert (await amends("discard", first)).output == f"{first} discarded\n"
    assert (await amends("discard", f"{topic.dead_letters}/0/99")).exit_code == 1
    replayed = await amends("replay", "--topic", topic.name, "--all")
    assert replayed.output.splitlines()[0].startswith(second)
    assert replayed.output.splitlines()[-1].startswith("1 replayed, 1 had been")


async def test_what_was_replayed_is_committed_again_before_kafka_forgets_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was: a group without members is forgotten some days after its last commit, sooner than letters are."""
    topic = await bench.topic()

    async def refuses(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        return [Refusal(r, "never") for r in batch]

    await bench.publish(topic, probes(20))
    async with bench.consuming([topic], refuses) as consumption:
        await eventually(lambda: consumption.finished == 20)
    letters = KafkaLetters(bench.settings())
    discarded = (await letters.read([topic.dead_letters]))[1::2]
    await letters.discard(discarded)
    committed: list[dict[TopicPartition, OffsetAndMetadata]] = []
    commit = AIOKafkaConsumer.commit

    async def noted(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        committed.append(offsets)
        await commit(consumer, offsets)

    monkeypatch.setattr(AIOKafkaConsumer, "commit", noted)
    await letters.keep([topic.dead_letters])
    (again,) = committed
    assert {place.topic for place in again} == {topic.dead_letters}
    replayed = [letter.id for letter in await letters.read([topic.dead_letters]) if letter.was_replayed]
    assert replayed == [letter.id for letter in discarded]


async def test_what_is_not_there_is_told_by_the_exit_code(
    bench: Bench, amends: Amends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 for nothing found, 2 for wrong usage, 3 for a Kafka that is away."""
    topic = await bench.topic()
    assert (await amends("list", "--topic", topic.name)).output == "There are no dead letters.\n"
    assert (await amends("show", f"{topic.dead_letters}/0/5")).exit_code == 1
    assert (await amends("replay", "--topic", topic.name, "--id", f"{topic.dead_letters}/0/5")).exit_code == 1
    assert (await amends("replay")).exit_code == 2
    monkeypatch.setenv("AMENDS_KAFKA", "127.0.0.1:1")
    assert (await amends("list")).exit_code == 3
