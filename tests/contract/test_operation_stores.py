"""What operation at the desk relies on, of its stores: the same on the simulated and on the real database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.desk.delivery import Asked, Result
from services.desk.delivery_store import DeliveryStore
from services.runtime.mongo import Database

NOON = datetime(2026, 11, 22, 12, 0, 0, 5000, tzinfo=UTC)


async def test_deliveries_are_paged_newest_first_without_gap_or_repeat(database: Database) -> None:
    """Also among those of one millisecond, and under a filter; the indexes may be made twice."""
    store = DeliveryStore(database)
    await store.create_indexes()
    await store.create_indexes()
    for number in range(7):
        await database["notifications"].insert_one(
            {"_id": str(UUID(int=number)), "ticket_id": str(UUID(int=9)), "moment": "answered", "attempts": []}
            | {"requested_at": NOON + timedelta(seconds=number // 4), "state": "failed" if number % 2 else "claimed"}
        )
    seen: list[int] = []
    before = None
    while found := await store.page(Asked(before=before), count_max=2):
        seen += [one.id.int for one in found]
        before = found[-1].place
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    failed = await store.page(Asked(result=Result.FAILED, ticket=UUID(int=9)), count_max=9)
    assert [one.id.int for one in failed] == [5, 3, 1]
    assert len(await store.page(Asked(result=Result.REQUESTED), count_max=9)) == 4
