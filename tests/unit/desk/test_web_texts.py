"""Texts for complainants, edited at the desk."""

import re
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from schemas.codes import DeliveryChannel, Language, Moment, StaffRole
from services.desk.person import Person
from services.desk.refusal_http import handle_refusals
from services.desk.texts_http import TextRoutes
from services.runtime.mongo import Database
from services.wording.templates import Saying
from tests.simulation.database import Store
from tests.unit.desk.web_scene import NOW, WebScene

SMS = "/templates/survey/sms/en"
BODY = "How was it, {{ number }}?{% if link %} {{ link }}{% endif %}"


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """Nothing was written yet."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    return scene


def typed(scene: WebScene, do: str, body: str = BODY, **more: str) -> dict[str, str]:
    """A form of the centre's manager."""
    return {"csrf_token": scene.csrf("centre_manager"), "version": "0", "body": body, "do": do, **more}


async def survey(scene: WebScene, after: timedelta = timedelta()) -> str:
    """What would be sent."""
    said = Saying(Moment.SURVEY, Language.EN, "Asia/Shanghai", {"number": "2611-1", "attempt": 1})
    return (await scene.texts.templates(NOW + after)).render(said, DeliveryChannel.SMS).text


async def test_a_text_is_tried_saved_compared_and_taken_back(scene: WebScene) -> None:
    """A preview changes nothing; a saved version holds, is compared and audited, until the product's comes back."""
    packaged = await survey(scene)
    async with scene.client("centre_manager") as client:
        tried = await client.post(SMS, data=typed(scene, "preview"))
        assert tried.status_code == 200
        assert "How was it, 2611-0042175?" in tried.text
        assert "SMS parts: 1" in tried.text
        assert await survey(scene) == packaged
        saved = await client.post(SMS, data=typed(scene, "save"))
        assert saved.headers["location"] == f"{SMS}?saved=yes"
        assert "How was it, 2611-1?" in await survey(scene)
        page = (await client.get(f"{SMS}?version=1")).text
        assert re.search(r'class="came"><td>\+<span class="unseen"> added</span></td><td>How was it', page)
        assert 'class="went"' in page
        assert "Version 1 · centre_manager" in (await client.get("/templates")).text
        assert (await client.post(SMS, data=typed(scene, "packaged", version="1"))).status_code == 303
        assert await survey(scene) == packaged
        assert 'class="came"' in (await client.get(f"{SMS}?version=2")).text
    entries = [entry async for entry in scene.database["audit"].find({"action": "edit_policies"})]
    assert [entry["about"] for entry in entries] == ["survey.sms.en@1", "survey.sms.en@2"]


async def test_a_version_begins_at_its_time(scene: WebScene) -> None:
    """As the form writes it, in the zone of whoever wrote it; not in the past."""
    async with scene.client("centre_manager") as client:
        tomorrow = (NOW + timedelta(hours=8 + 24)).strftime("%Y-%m-%dT%H:%M")
        assert (await client.post(SMS, data=typed(scene, "save", effective_at=tomorrow))).status_code == 303
        assert "How was it" not in await survey(scene, timedelta(hours=23))
        assert "How was it" in await survey(scene, timedelta(hours=24))
        past = await client.post(SMS, data=typed(scene, "save", effective_at="2020-01-01T00:00", version="1"))
        assert past.status_code == 422
        assert "begin in the past" in past.text
        assert (await client.post(SMS, data=typed(scene, "save", effective_at="soon"))).status_code == 422


async def test_what_is_wrong_with_a_text_is_told(scene: WebScene) -> None:
    """All at once, beside its field, and what was written stays."""
    async with scene.client("centre_manager") as client:
        wrong = await client.post(SMS, data=typed(scene, "save", "{{ phone }}{% for x in 'ab' %}{% endfor %}"))
    assert wrong.status_code == 422
    assert "phone is not known at this moment" in wrong.text
    assert "Use these: attempt, hotline, link, number, sender." in wrong.text
    assert "it uses what a text has not: For" in wrong.text
    assert "{{ phone }}" in wrong.text
    assert await scene.database["wording_texts"].count_documents({}) == 0


async def test_of_two_who_write_the_second_loses_nothing(scene: WebScene) -> None:
    """It is shown what the first changed, beside the own words."""
    async with scene.client("centre_manager") as client:
        await client.post(SMS, data=typed(scene, "save"))
        late = await client.post(SMS, data=typed(scene, "save", "Mine: {{ number }}"))
        assert late.status_code == 409
        assert "Somebody saved a version" in late.text
        assert "Mine: {{ number }}" in late.text
        assert 'class="came"' in late.text
        again = typed(scene, "save", "Mine: {{ number }}", version="1")
        assert (await client.post(SMS, data=again)).status_code == 303


async def test_who_may_read_may_not_write(scene: WebScene) -> None:
    """An agent reads; an outlet does not; a text that is none is not there."""
    async with scene.client("agent") as client:
        page = await client.get(SMS)
        assert page.status_code == 200
        assert "<textarea" not in page.text
        form = typed(scene, "save") | {"csrf_token": scene.csrf("agent")}
        assert (await client.post(SMS, data=form)).status_code == 403
        assert (await client.get("/templates/survey/fax/en")).status_code == 404
    async with scene.client("outlet_staff") as client:
        assert (await client.get("/templates")).status_code == 403


async def test_programs_do_the_same(scene: WebScene) -> None:
    """Over HTTP: read, tried, saved with the version that was seen."""

    async def manager() -> Person:
        return Person(id="m1", name="M", role=StaffRole.CENTRE_MANAGER)

    app = FastAPI()
    app.include_router(TextRoutes(texts=scene.texts, auditing=scene.audit, allows=lambda _: manager).router())
    app.state.doors = scene.app.state.doors
    handle_refusals(app)
    path = "/v1/templates/survey/sms/en"
    async with AsyncClient(transport=ASGITransport(app), base_url="http://desk") as client:
        assert len((await client.get("/v1/templates")).json()["templates"]) == len(Moment) * 4
        one = await client.get(path)
        assert one.headers["etag"] == '"0"'
        assert "{{ number }}" in one.json()["packaged"]["body"]
        tried = (await client.post(f"{path}/preview", json={"body": "{{ phone }}"})).json()
        assert [problem["code"] for problem in tried["problems"]] == ["text_field"]
        tried = (await client.post(f"{path}/preview", json={"body": BODY})).json()
        assert [example["sms_parts"] for example in tried["examples"]] == [1, 1]
        assert (await client.post(path, json={"body": BODY})).status_code == 428
        saved = await client.post(path, json={"body": BODY}, headers={"If-Match": '"0"'})
        assert (saved.status_code, saved.headers["etag"]) == (201, '"1"')
        assert (await client.post(path, json={"body": BODY}, headers={"If-Match": '"0"'})).status_code == 412
        wrong = await client.post(path, json={"body": " "}, headers={"If-Match": '"1"'})
        assert [error["field"] for error in wrong.json()["errors"]] == ["body"]
        assert [text["version"] for text in (await client.get(path)).json()["versions"]] == [1]
        assert (await client.get("/v1/templates/survey/sms/fr")).status_code == 404
