import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import openpyxl
import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from schemas.codes import StaffRole
from services.desk.app import desk
from services.desk.person import Person
from services.desk.refusal import Refusal
from services.desk.row_store import RowStore
from services.desk.settings import DeskSettings
from services.runtime.mongo import Database
from services.runtime.readiness import Readiness
from services.runtime.sealing import Keyring
from services.runtime.surroundings import Surroundings
from services.runtime.time_source import SystemClock
from tests.simulation.database import Store
from tests.unit.desk.stories import RECEIVED, Story, stories

PEOPLE = {
    "agent": Person(id="p1", name="A", role=StaffRole.AGENT),
    "boss": Person(id="p2", name="B", role=StaffRole.SUPERVISOR),
    "outlet": Person(id="p3", name="C", role=StaffRole.OUTLET_STAFF, units=("NET-1",)),
}


async def who(request: Request) -> Person:
    """Whoever the test says."""
    if person := PEOPLE.get(request.headers.get("x-who", "")):
        return person
    raise Refusal("not-signed-in")


@pytest.fixture
def database() -> Database:
    return cast("Database", Store().database())


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The desk with five tickets, of which one is of the unit NET-1."""
    made = desk(
        DeskSettings(),
        Surroundings(database, SystemClock()),
        keyring=Keyring.create(tmp_path / "keyring.json"),
        readiness=Readiness(),
        registry=CollectorRegistry(),
        allows=lambda _action: who,
    )
    told = [Story(), *stories(["1", "2", "3"]), *stories(["4"], assigned={"unit": "NET-1"})]
    await RowStore(database).save([(story.row(), 0) for story in told], at=RECEIVED)
    for event in (event for story in told for event in story.events):
        await database["ticket_events"].insert_one(
            {"_id": f"{event.ticket_id}:{event.sequence}", "type": event.ce_type(), **event.model_dump(mode="json")}
        )
    transport = httpx.ASGITransport(made.surface)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk", headers={"x-who": "agent"}) as client:
        yield client


async def test_nobody_is_let_in_without_sign_in(client: httpx.AsyncClient) -> None:
    """Every path answers 401 with a problem to whoever is not signed in."""
    for path in ("/v1/tickets", "/v1/tickets.csv", "/v1/tickets/2611-000017", "/v1/views", "/v1/live"):
        answer = await client.get(path, headers={"x-who": ""})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json"), path


async def test_pages_hold_together(client: httpx.AsyncClient) -> None:
    """The cursor of a page gives the next one; one that was altered is refused."""
    seen, cursor = list[str](), None
    while True:
        asked: dict[str, Any] = {"size": 2, "count": True} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/tickets", params=asked)).json()
        assert page["count"] == {"at_least": 5, "is_exact": True}
        seen += [ticket["number"] for ticket in page["tickets"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == ["2611-000001", "2611-000002", "2611-000003", "2611-000004", "2611-000017"]
    wrong = await client.get("/v1/tickets", params={"cursor": "x.y"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "cursor")


async def test_every_mistake_is_told(client: httpx.AsyncClient) -> None:
    """All parameters that are wrong, each with its value."""
    answer = await client.get("/v1/tickets", params={"state": "lost", "size": 999, "colour": "red"})
    assert answer.status_code == 422
    assert {(e["field"], e["value"]) for e in answer.json()["errors"]} == {
        ("state.0", "lost"),
        ("size", "999"),
        ("colour", "red"),
    }


async def test_a_ticket_by_id_and_number(client: httpx.AsyncClient) -> None:
    """With its trail and clocks, and its version as strong ETag."""
    answer = await client.get("/v1/tickets/2611-000017")
    ticket = answer.json()
    assert answer.headers["etag"] == '"3"'
    assert [event["type"] for event in ticket["events"]] == ["opened", "classified", "assigned"]
    assert {clock["clock"] for clock in ticket["clocks"]} >= {"acknowledge", "resolution"}
    assert (await client.get(f"/v1/tickets/{ticket['id']}")).json() == ticket
    later = (await client.get(f"/v1/tickets/{ticket['id']}/events", params={"after": 2})).json()
    assert [event["sequence"] for event in later["events"]] == [3]
    assert (await client.get(f"/v1/tickets/{uuid4()}")).status_code == 404


async def test_an_outlet_sees_its_own(client: httpx.AsyncClient) -> None:
    """Another unit's ticket is as if it were not there, and nothing shows who complained."""
    outlet = {"x-who": "outlet"}
    page = (await client.get("/v1/tickets", headers=outlet)).json()
    assert [ticket["unit"] for ticket in page["tickets"]] == ["NET-1"]
    assert (await client.get("/v1/tickets/2611-000017", headers=outlet)).status_code == 404
    own = await client.get("/v1/tickets/2611-000004", headers=outlet)
    assert "138****1234" not in own.text
    assert "2611-000017" not in (await client.get("/v1/tickets.csv", headers=outlet)).text


async def test_exports_are_texts(client: httpx.AsyncClient, database: Database) -> None:
    """What would be a formula is none, in either format."""
    await RowStore(database).save(
        [(story.row(), 0) for story in stories(["9"], opened={"case_number": "=HYPERLINK(1)"})], at=RECEIVED
    )
    as_csv = (await client.get("/v1/tickets.csv", params={"q": "2611-000009"})).text
    assert "'=HYPERLINK(1)" in as_csv
    assert ",=HYPERLINK" not in as_csv
    (taken,) = await database["audit"].find({"action": "export"}).to_list(None)
    assert (taken["who"], taken["about"]) == ("p1", "tickets.csv?q=2611-000009")
    answer = await client.get("/v1/tickets.xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert sheet.max_row == 7
    assert "=HYPERLINK(1)" in [cell.value for cell in cells]


async def test_a_customer_is_found_by_key(client: httpx.AsyncClient, database: Database, tmp_path: Path) -> None:
    """The number goes in a body, its key in the URL."""
    key = Keyring.load(tmp_path / "keyring.json").blind("phone", "+8613800138000")
    found = stories(["8"], opened={"contact_index": {"phone": key}})
    await RowStore(database).save([(story.row(), 0) for story in found], at=RECEIVED)
    keys = (await client.post("/v1/customers", json={"contact": "138 0013 8000"})).json()["customer"]
    page = (await client.get("/v1/tickets", params={"customer": keys})).json()
    assert [ticket["number"] for ticket in page["tickets"]] == ["2611-000008"]


async def test_views(client: httpx.AsyncClient) -> None:
    """Saved, counted, shared by who may, changed by the owner on the version that was read."""
    view = {"name": "mine", "filters": {"person": ["me"]}}
    added = await client.post("/v1/views", json=view)
    assert (added.status_code, added.headers["etag"]) == (201, '"1"')
    assert (await client.post("/v1/views", json=view | {"is_shared": True})).status_code == 403
    for nameless in ("", " ", "\u200b\u3164", "x" * 81):
        assert (await client.post("/v1/views", json=view | {"name": nameless})).status_code == 422
    boss = {"x-who": "boss"}
    shared = await client.post("/v1/views", json=view | {"name": "all", "is_shared": True}, headers=boss)
    seen = (await client.get("/v1/views", params={"count": True})).json()["views"]
    assert [(v["name"], v["is_own"], v["count"]["at_least"]) for v in seen] == [("all", False, 5), ("mine", True, 5)]
    theirs, mine = shared.headers["location"], added.headers["location"]
    assert (await client.put(theirs, json=view, headers={"If-Match": '"1"'})).status_code == 403
    assert (await client.put(mine, json=view)).status_code == 428
    assert (await client.put(mine, json=view | {"name": "x"}, headers={"If-Match": '"1"'})).json()["version"] == 2
    assert (await client.delete(mine, headers={"If-Match": '"1"'})).status_code == 412
    assert (await client.delete(mine, headers={"If-Match": '"2"'})).status_code == 204
