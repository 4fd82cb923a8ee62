"""Policies and directory over HTTP, for programs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from schemas.codes import StaffRole
from services.desk.directory_editing import PARTS, DirectoryEditing
from services.desk.doors import Doors
from services.desk.person import Person
from services.desk.policy_editing import content_of
from services.desk.refusal import Refusal
from services.desk.refusal_http import handle_refusals
from services.desk.rights import may_somewhere, scope
from services.desk.rules_http import RuleRoutes
from services.desk.tickets_http import Allows
from services.runtime.mongo import Database
from services.service_levels.policy import read_policy
from tests.simulation.database import Store
from tests.unit.desk.web_scene import WebScene

SLA = "/v1/policies/sla"
READS = {
    SLA: "read_policies",
    f"{SLA}/1": "read_policies",
    f"{SLA}/1/changes": "read_policies",
    **{f"/v1{part.path}": part.reads for part in PARTS},
    **{f"/v1{part.path}/versions/1": part.reads for part in PARTS},
    **{f"/v1{part.path}/versions/1/changes": part.reads for part in PARTS},
}
WRITES = [
    ("POST", SLA, "edit_policies"),
    ("POST", f"{SLA}/preview", "edit_policies"),
    *(("PATCH", f"/v1{part.path}", part.edits) for part in PARTS),
    *(("POST", f"/v1{part.path}/preview", part.edits) for part in PARTS),
]
CONTENT = content_of(read_policy())


def allows(action: str) -> Callable[[Request], Awaitable[Person]]:
    """Whoever says a role has it."""

    async def checked(request: Request) -> Person:
        person = Person(id="p", name="p", role=StaffRole(request.headers["role"]))
        if not may_somewhere(person, action):
            raise Refusal("not-allowed", more={"action": action}, role=person.role.value)
        return person

    return checked


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """The packaged policy and directory."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.rules()
    return scene


@pytest.fixture
async def client(scene: WebScene) -> AsyncIterator[httpx.AsyncClient]:
    """A program with the role of a centre manager."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(served(scene)), base_url="http://desk", headers={"role": "centre_manager"}
    ) as client:
        yield client


def served(scene: WebScene) -> FastAPI:
    """The routes alone."""
    app = FastAPI()
    doors: Doors = scene.app.state.doors
    app.state.doors = doors
    routes = RuleRoutes(
        levels=scene.levels,
        directory=DirectoryEditing(directory=scene.directory, auditing=scene.audit),
        allows=cast("Allows", allows),
    )
    app.include_router(routes.router())
    handle_refusals(app)
    return app


async def test_every_role_reaches_what_it_may(client: httpx.AsyncClient, scene: WebScene) -> None:
    """By the table of rights, whatever is sent; and no refusal has changed anything."""
    for role in StaffRole:
        headers = {"role": role.value, "If-Match": '"1"'}
        for path, action in READS.items():
            wanted = 200 if scope(role, action) else 403
            assert (await client.get(path, headers=headers)).status_code == wanted, (role, path)
        for method, path, action in WRITES:
            wanted = 422 if scope(role, action) else 403
            answer = await client.request(method, path, headers=headers, json={"policy": {}, "moon": 1})
            assert answer.status_code == wanted, (role, path, answer.text)
    assert (await scene.policies.numbers(), await scene.directory.version()) == ([1], 1)


async def test_a_version_is_tried_out_and_added(client: httpx.AsyncClient, scene: WebScene) -> None:
    """What was read can be sent back changed; who comes second is refused, and the audit knows who was first."""
    listed = await client.get(SLA)
    assert listed.json()["versions"][0] | {"effective_from": ""} == {
        "version": 1,
        "name": "default",
        "effective_from": "",
        "in_force": True,
    }
    policy = (await client.get(f"{SLA}/1")).json()["policy"]
    policy["clocks"]["first_answer"]["rules"][0]["target"] = "1h"
    tried = (await client.post(f"{SLA}/preview", json={"policy": policy})).json()
    place = ["clocks", "first_answer", "rules", "first-answer", "target"]
    assert tried["changes"] == [{"place": place, "before": "48h", "after": "1h"}]
    assert (tried["version"], tried["replaces"], tried["what_if"]["clocks"]) == (2, 1, 0)
    begins = (scene.now + timedelta(hours=1)).isoformat()
    sent = {"policy": policy, "effective_from": begins}
    assert (await client.post(SLA, json=sent)).status_code == 428
    added = await client.post(SLA, json=sent, headers={"If-Match": listed.headers["ETag"]})
    assert (added.status_code, added.headers["Location"], added.headers["ETag"]) == (201, f"{SLA}/2", '"2"')
    for old in (listed.headers["ETag"], '"x"', "*"):
        assert (await client.post(SLA, json=sent, headers={"If-Match": old})).status_code == 412
    assert (await client.get(f"{SLA}/2/changes")).json()["changes"] == tried["changes"]
    assert [head["in_force"] for head in (await client.get(SLA)).json()["versions"]] == [False, True]
    (entry,) = await scene.database["audit"].find({}).to_list(None)
    assert (entry["who"], entry["action"], entry["about"]) == ("p", "edit_policies", "sla 2")


async def test_every_mistake_is_told(client: httpx.AsyncClient) -> None:
    """As RFC 9457 with field and words in the reader's language."""
    policy = {**CONTENT, "version": 3, "default_calendar": "moon", "warnings": [2]}
    sent = {"policy": policy, "effective_from": "2020-01-01T00:00:00Z"}
    refused = await client.post(SLA, json=sent, headers={"If-Match": '"1"', "Accept-Language": "zh"})
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    told = refused.json()
    assert told["type"] == "urn:amends:problem:wrong-fields"
    assert [one["field"] for one in told["errors"]] == ["version", "effective_from", "default_calendar", "warnings.0"]
    assert told["errors"][0]["todo"] == "请更正后重新提交。"


async def test_sections_are_put_into_force_on_top_of_what_was_read(client: httpx.AsyncClient, scene: WebScene) -> None:
    """One section alone; the second of two is refused, and nothing of the first is lost."""
    read = await client.get("/v1/directory")
    people = [*read.json()["people"], {"id": "finance-09", "department": "finance", "capacity": 5}]
    tried = (await client.post("/v1/directory/preview", json={"people": people})).json()
    assert [one["place"] for one in tried["changes"]] == [["people", "finance-09"]]
    based = {"If-Match": read.headers["ETag"]}
    assert (await client.patch("/v1/directory", json={"people": people})).status_code == 428
    saved = await client.patch("/v1/directory", json={"people": people}, headers=based)
    assert (saved.status_code, saved.headers["ETag"], saved.json()["version"]) == (200, '"2"', 2)
    assert (await client.patch("/v1/directory", json={"people": []}, headers=based)).status_code == 412
    assert (await client.get("/v1/directory/versions/2/changes")).json()["changes"] == tried["changes"]
    wrong = await client.patch("/v1/directory", json={"handling": {}, "units": [{}]}, headers={"If-Match": '"2"'})
    fields = [one["field"] for one in wrong.json()["errors"]]
    assert fields[0] == "handling"
    assert "units.0.code" in fields
    assert await scene.directory.version() == 2


async def test_the_description_names_every_route(scene: WebScene) -> None:
    """With a summary and an id of its own."""
    described = served(scene).openapi()
    told = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(told) == len({one["operationId"] for one in told}) == 5 + 5 * len(PARTS)
    assert all(one["summary"] for one in told)
