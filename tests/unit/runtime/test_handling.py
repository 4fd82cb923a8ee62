"""What happens to a batch that fails."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import ClassVar
from uuid import UUID, uuid5

import pytest
import stamina
from prometheus_client import CollectorRegistry
from pymongo.errors import BulkWriteError, CursorNotFound, OperationFailure

from schemas.codec import UndecodableMessage
from schemas.message import Message
from services.runtime.consuming import _in_its_place, by_key
from services.runtime.dead_letters import Original
from services.runtime.handling import Abandoned, BatchHandler, Handling, Received, Refusal
from services.runtime.metrics import ConsumingMetrics
from services.runtime.producing import PublishFailed, Record, partition_for
from services.runtime.readiness import Readiness
from services.runtime.watchdog import Stall


class Probe(Message):
    """A numbered message."""

    TYPE: ClassVar[str] = "amends.probe.made"
    SOURCE: ClassVar[str] = "/amends/tests"
    number: int

    @property
    def ce_id(self) -> UUID:
        """Follows from the number."""
        return uuid5(UUID(int=0), str(self.number))

    @property
    def ce_subject(self) -> UUID:
        """Itself."""
        return self.ce_id

    @property
    def ce_time(self) -> datetime:
        """Always the same."""
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_waiting() -> None:
    """Retries follow at once."""
    stamina.set_testing(True, attempts=10_000)
    yield  # type: ignore[misc]
    stamina.set_testing(False)


def batch(count: int) -> list[Received[Message]]:
    """Messages with offsets from 0."""
    return [
        Received(
            Probe(number=n, routing_key=f"k{n % 3}"),
            "topic",
            0,
            n,
            None,
            Original("topic", 0, n, b"k", b"v", []),
            datetime(2026, 11, 20, tzinfo=UTC),
        )
        for n in range(count)
    ]


class World:
    """Collects what handling does."""

    def __init__(self, handler: BatchHandler, *, ours: int = 1000) -> None:
        self.letters: list[Record] = []
        self.waits: list[str | None] = []
        self.refused_by_broker = 0
        self.ours = ours
        self.handling = Handling(
            handler,
            group="amends-test",
            set_aside=self.set_aside,
            metrics=ConsumingMetrics(CollectorRegistry()),
            on_waiting=self.waits.append,
            still_ours=self.still_ours,
        )

    async def set_aside(self, letters: Sequence[Record]) -> None:
        """Fails as often as it was told."""
        if self.refused_by_broker:
            self.refused_by_broker -= 1
            raise PublishFailed
        self.letters += letters

    def still_ours(self) -> bool:
        """For as many questions as it was told."""
        self.ours -= 1
        return self.ours >= 0


@pytest.mark.parametrize("poison", [{0}, {6}, {2, 3}, {0, 1, 2, 3, 4, 5, 6}])
async def test_exactly_the_poison_messages_are_set_aside(poison: set[int]) -> None:
    """Wherever they stand; the others are handled once and in order."""
    handled: list[int] = []

    async def handler(some: Sequence[Received[Message]]) -> Sequence[Refusal]:
        if poison & {r.offset for r in some}:
            raise ValueError("no")
        handled.extend(r.offset for r in some)
        return []

    world = World(handler)
    await world.handling.finish(batch(7))
    assert {int(dict(letter.headers)["dl_offset"]) for letter in world.letters} == poison
    assert handled == sorted(set(range(7)) - poison)


async def test_a_part_that_is_away_is_waited_for_and_nothing_is_set_aside() -> None:
    """However long; the wait is told and its end, too."""
    attempts = 0

    async def handler(_: Sequence[Received[Message]]) -> Sequence[Refusal]:
        nonlocal attempts
        attempts += 1
        if attempts < 50:
            raise ConnectionError
        return []

    world = World(handler)
    await world.handling.finish(batch(3))
    assert attempts == 50
    assert world.letters == []
    assert world.waits[0] is not None
    assert world.waits[-1] is None


@pytest.mark.parametrize(
    "unable",
    [
        OperationFailure("no space left", code=14031),
        OperationFailure("authentication failed", code=18),
        CursorNotFound("cursor id 5 not found", code=43),
        BulkWriteError({"writeErrors": [{"index": 0, "code": 11000}, {"index": 1, "code": 14031}]}),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91}]}),
    ],
)
async def test_a_database_that_is_unable_is_waited_for_and_nothing_is_set_aside(unable: Exception) -> None:
    """It answers, and what it says is not about the messages."""
    answers = iter([unable, unable])

    async def handler(_: Sequence[Received[Message]]) -> Sequence[Refusal]:
        if (answer := next(answers, None)) is not None:
            raise answer
        return []

    world = World(handler)
    await world.handling.finish(batch(3))
    assert world.letters == []


@pytest.mark.parametrize(
    "blame",
    [OperationFailure("bad value", code=2), BulkWriteError({"writeErrors": [{"index": 0, "code": 10334}]})],
)
async def test_a_message_that_the_database_cannot_take_is_set_aside(blame: Exception) -> None:
    """It would be refused for ever, and its neighbours wait behind it."""

    async def handler(some: Sequence[Received[Message]]) -> Sequence[Refusal]:
        if 1 in {r.offset for r in some}:
            raise blame
        return []

    world = World(handler)
    await world.handling.finish(batch(3))
    assert len(world.letters) == 1


async def test_a_batch_that_has_another_owner_is_given_up_instead_of_waited_for() -> None:
    """Nothing of it is finished."""

    async def handler(_: Sequence[Received[Message]]) -> Sequence[Refusal]:
        raise ConnectionError

    world = World(handler, ours=3)
    with pytest.raises(Abandoned):
        await world.handling.finish(batch(3))
    assert world.waits[-1] is None


async def test_a_batch_is_not_finished_before_the_broker_has_its_dead_letters() -> None:
    """Setting aside is tried again, too."""

    async def handler(some: Sequence[Received[Message]]) -> Sequence[Refusal]:
        return [Refusal(some[0], "closed")]

    world = World(handler)
    world.refused_by_broker = 5
    await world.handling.finish(batch(2))
    assert [dict(letter.headers)["dl_reason"] for letter in world.letters] == [b"closed"]


def test_by_key_keeps_the_order_within_each_key() -> None:
    """And forgets nothing."""
    assert {key: [r.offset for r in some] for key, some in by_key(batch(7)).items()} == {
        "k0": [0, 3, 6],
        "k1": [1, 4],
        "k2": [2, 5],
    }


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_keys_go_where_every_kafka_client_sends_them(key: str, hashed: int) -> None:
    """By the hashes in the Java client's own test of murmur2 (`UtilsTest.testMurmur2`)."""
    assert partition_for(key, 12) == (hashed & 0x7FFFFFFF) % 12


def test_readiness_tells_every_reason() -> None:
    """And is not given before anything was said."""
    readiness = Readiness()
    assert not readiness.ready
    readiness.set("started", True)
    readiness.set("consuming", False, "the database is away")
    assert readiness.reasons == {"consuming": "the database is away"}
    readiness.set("consuming", True)
    assert readiness.ready


def test_a_stall_is_work_that_waits_without_progress_and_without_excuse() -> None:
    """Idleness, progress and a part that is away are none."""
    stall = Stall(now_s=0)
    stall.observe(now_s=1, finished=5, backlog=9, excused=False)
    assert stall.well_at_s == 1
    for now_s, finished, backlog, excused, well_at_s in (
        (2, 5, 9, False, 1),
        (3, 5, None, False, 1),
        (4, 5, 9, True, 4),
        (5, 5, 0, False, 5),
        (6, 6, 9, False, 6),
    ):
        stall.observe(now_s=now_s, finished=finished, backlog=backlog, excused=excused)
        assert stall.well_at_s == well_at_s


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"key": None}, "key is not the routing_key"), ({"key": b"x"}, "key"), ({"timestamp": -(10**17)}, "is no date")],
)
def test_a_record_out_of_its_place_is_set_aside(changed: dict[str, object], told: str) -> None:
    """Its reader would not be the one of its ticket, or stumble over its time."""
    message = batch(1)[0].message
    record = SimpleNamespace(**({"key": message.routing_key.encode(), "timestamp": 1_790_000_000_000} | changed))
    with pytest.raises(UndecodableMessage, match=told):
        _in_its_place(record, message)
