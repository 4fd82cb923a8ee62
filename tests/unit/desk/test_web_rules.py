"""Pages of policies and of the directory: read by those who may, tried out, and never overwritten by who was slower."""

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from schemas.codes import StaffRole
from services.desk import policy_editing
from services.desk.audit import Sought
from services.desk.directory_editing import PARTS
from services.desk.rights import scope
from services.runtime.mongo import Database
from services.sla_monitor.clock_store import Change, ClockStore
from tests.simulation.database import Store
from tests.unit.desk.stories import stories
from tests.unit.desk.web_scene import WebScene

NEW = "/policies/sla/new"
PAGES = {
    "/policies": "read_policies",
    "/policies/sla/1": "read_policies",
    NEW: "edit_policies",
    **{part.path: part.reads for part in PARTS},
    **{f"{part.path}/versions/1": part.reads for part in PARTS},
    **{f"{part.path}/edit": part.edits for part in PARTS},
}


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """Three open tickets with clocks, and the packaged policy and directory."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    await scene.rules()
    told = stories(["3", "4", "5"])
    await scene.tickets(told)
    await ClockStore(scene.database).save(
        [Change(story.sla, None, None, "sla_monitor:1", (), is_to_arm=False) for story in told if story.sla]
    )
    return scene


@pytest.fixture
async def manager(scene: WebScene) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of a centre manager."""
    async with scene.client("centre_manager") as client:
        yield client


def filled(page: httpx.Response) -> dict[str, str]:
    """A form as a browser would send it."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text.split('class="draft"')[1]))
    text = re.search(r'<textarea id="f-text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    begins = re.search(r'name="effective_from" value="([^"]*)"', page.text)
    assert text
    return fields | {"text": html.unescape(text[1])} | ({"effective_from": begins[1]} if begins else {})


async def acts(scene: WebScene) -> list[tuple[str, str, str]]:
    """What the audit says of changes, the earliest first."""
    entries = await scene.audit.page(Sought(), count_max=50)
    return [(one.who, one.action, one.about) for one in reversed(entries) if one.action.startswith("edit_")]


@pytest.mark.parametrize("role", list(StaffRole))
async def test_every_role_reaches_what_it_may(scene: WebScene, role: StaffRole) -> None:
    """Pages are shown by the table of rights, and so are forms and what is sent by them."""
    async with scene.client(role.value) as client:
        for path, action in PAGES.items():
            is_allowed = scope(role, action) is not None
            assert (await client.get(path)).status_code == (200 if is_allowed else 403), (role, path)
            if action.startswith("edit_"):
                sent = await client.post(
                    path, data={"csrf_token": scene.csrf(role.value), "act": "add", "text": "a: 1"}
                )
                assert sent.status_code == (422 if is_allowed else 403), (role, path)
    assert await acts(scene) == []


async def test_a_version_is_tried_out_and_then_added(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """The preview says what differs and which clocks would move; only then it can be put in force, audited."""
    form = filled(await manager.get(NEW))
    assert form["seen"] == ""
    text = form["text"].replace("name: first-answer, target: 48h", "name: first-answer, target: 1h")
    unseen = await manager.post(NEW, data={**form, "text": text, "act": "add"})
    assert (unseen.status_code, await scene.policies.numbers()) == (200, [1])
    assert "Clocks › First answer › rules › first-answer › target" in unseen.text
    assert "<del>48h</del>" in unseen.text
    assert "<ins>1h</ins>" in unseen.text
    assert "open clocks of 3 open tickets" in unseen.text
    assert unseen.text.count("1 d 23 h earlier") == 3
    assert re.search(r"Would be overdue</dt><dd>6<", unseen.text)
    seen = filled(unseen)
    assert seen["text"] == text
    added = await manager.post(NEW, data={**seen, "act": "add"})
    assert added.headers["location"] == "/policies?added=2"
    assert "Version 2 is saved" in (await manager.get("/policies?added=2")).text
    policy = await scene.policies.get(2)
    assert policy
    assert policy.effective_from > scene.now
    assert "<ins>1h</ins>" in (await manager.get("/policies/sla/2")).text
    assert await acts(scene) == [("centre_manager", "edit_policies", "sla 2")]


async def test_what_is_confirmed_is_what_was_seen(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """Whoever changes the text after the preview sees the preview of that first."""
    form = filled(await manager.get(NEW))
    seen = filled(await manager.post(NEW, data={**form, "act": "preview"}))
    again = await manager.post(NEW, data={**seen, "text": seen["text"] + "\n# more", "act": "add"})
    assert again.status_code == 200
    assert await scene.policies.numbers() == [1]


async def test_every_mistake_is_told_and_everything_typed_stays(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """Those of the text and of the time beside it, together."""
    form = filled(await manager.get(NEW))
    text = "version: 7\r\n" + form["text"].replace("24h", "soon", 1).replace("calendar: owner", "calendar: moon")
    wrong = await manager.post(NEW, data={**form, "text": text, "effective_from": "2020-01-01T08:00", "act": "add"})
    assert wrong.status_code == 422
    for said in ("<code>version</code>", "<code>effective_from</code>", "&#39;soon&#39;", "&#39;moon&#39;"):
        assert said in wrong.text
    kept = filled(wrong)
    assert kept["text"] == text.replace("\r\n", "\n")
    assert kept["effective_from"] == "2020-01-01T08:00"
    no_time = await manager.post(NEW, data={**form, "effective_from": "soon", "act": "add"})
    assert "is no date and time" in no_time.text
    assert await acts(scene) == []


async def test_a_time_is_the_readers(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """What is typed is on the wall clock of the person's zone."""
    form = filled(await manager.get(NEW)) | {"effective_from": "2027-01-01T08:00"}
    seen = filled(await manager.post(NEW, data={**form, "act": "preview"}))
    await manager.post(NEW, data={**seen, "act": "add"})
    policy = await scene.policies.get(2)
    assert policy
    assert policy.effective_from.isoformat() == "2027-01-01T08:00:00+08:00"
    assert 'Version 1</a> <span class="tag">In force' in (await manager.get("/policies")).text


async def test_of_two_who_write_the_second_is_told(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """Nothing typed is lost, the differences are those to what the first added, and a second confirmation adds it."""
    form = filled(await manager.get(NEW))
    mine = {**form, "text": form["text"].replace("target: 15min", "target: 20min")}
    mine = filled(await manager.post(NEW, data={**mine, "act": "preview"}))
    async with scene.client("administrator") as other:
        theirs = filled(await other.get(NEW))
        theirs["text"] = theirs["text"].replace("target: 15min", "target: 10min")
        theirs = filled(await other.post(NEW, data={**theirs, "act": "preview"}))
        assert (await other.post(NEW, data={**theirs, "act": "add"})).status_code == 303
    scene.now += timedelta(minutes=1)
    told = await manager.post(NEW, data={**mine, "act": "add"})
    assert told.status_code == 409
    assert "somebody else added version 2" in told.text
    assert "<del>10min</del>" in told.text
    again = filled(told)
    assert again["text"] == mine["text"]
    assert (await manager.post(NEW, data={**again, "act": "add"})).headers["location"] == "/policies?added=3"
    assert await acts(scene) == [
        ("administrator", "edit_policies", "sla 2"),
        ("centre_manager", "edit_policies", "sla 3"),
    ]


async def test_tickets_are_told_to_those_who_may_see_them(scene: WebScene) -> None:
    """An administrator sees how many clocks would move, not whose."""
    async with scene.client("administrator") as client:
        form = filled(await client.get(NEW))
        form["text"] = form["text"].replace("first-answer, target: 48h", "first-answer, target: 1h")
        page = (await client.post(NEW, data={**form, "act": "preview"})).text
    assert "open clocks of 3 open tickets" in page
    assert "3 more would move" in page
    assert "2611-" not in page


async def test_a_sample_says_so(scene: WebScene, manager: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more open tickets than are counted, the ones that are due first are."""
    monkeypatch.setattr(policy_editing, "TICKETS_MAX", 2)
    form = filled(await manager.get(NEW))
    page = (await manager.post(NEW, data={**form, "act": "preview"})).text
    assert "of 2 open tickets" in page
    assert "There are more open tickets" in page


async def test_the_directory_is_searched_and_changed(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """A section alone is edited, its differences are seen, and it is in force; the other sections stay."""
    found = (await manager.get("/directory?q=hub-02")).text
    assert "hub-02-desk" in found
    assert "hub-01-desk" not in found
    form = filled(await manager.get("/directory/edit?section=people"))
    assert "departments:" not in form["text"]
    text = form["text"].replace("id: hub-02-desk", "id: hub-02-night")
    seen = await manager.post("/directory/edit", data={**form, "text": text, "act": "preview"})
    assert "People › hub-02-desk" in seen.text
    assert "People › hub-02-night" in seen.text
    saved = await manager.post("/directory/edit", data={**filled(seen), "act": "add"})
    assert saved.headers["location"] == "/directory?saved=2"
    now = await scene.directory.current()
    assert now
    assert "hub-02-night" in now.person_by_id
    assert len(now.units) == 12
    assert "hub-02-night" in (await manager.get("/directory/versions/2")).text
    assert await acts(scene) == [("centre_manager", "edit_directory", "directory 2")]


@pytest.mark.parametrize("more", [{}, {"files": {"nothing": ("", b"")}}], ids=["plain", "multipart"])
async def test_a_directory_of_thousands_of_outlets_fits(
    scene: WebScene, manager: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    """Forms are read further than libraries read them when nobody says how far."""
    form = filled(await manager.get("/directory/edit?section=people"))
    text = f"# {'网' * 600_000}\n" + form["text"].replace("id: hub-02-desk", "id: hub-02-night")
    seen = await manager.post("/directory/edit", data={**form, "text": text, "act": "preview"}, **more)
    assert seen.status_code == 200
    assert "People › hub-02-night" in seen.text


async def test_what_others_need_is_not_taken_away(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """A department that rules and people name stays; all of it is told, and so is what belongs elsewhere."""
    form = filled(await manager.get("/directory/edit"))
    text = form["text"].replace("code: finance,", "code: money,") + "\nrisk: {}\n"
    wrong = await manager.post("/directory/edit", data={**form, "text": text, "act": "preview"})
    assert wrong.status_code == 422
    for said in ("risk", "person finance-01: there is no department finance", "rule money-to-finance"):
        assert said in wrong.text
    assert filled(wrong)["text"] == text
    assert await scene.directory.version() == 1


async def test_of_two_who_change_the_directory_the_second_is_told(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """Sections are replaced as wholes, so what the first did shows as a difference before it would be undone."""
    form = filled(await manager.get("/policies/handling/edit"))
    form["text"] = form["text"].replace("appeal_days: 15", "appeal_days: 20")
    seen = filled(await manager.post("/policies/handling/edit", data={**form, "act": "preview"}))
    await scene.directory.load({"handling": {"reopen_days": 5}})
    told = await manager.post("/policies/handling/edit", data={**seen, "act": "add"})
    assert told.status_code == 409
    assert "Handling › reopen_days" in told.text
    assert filled(told)["text"] == form["text"]
    assert (await manager.post("/policies/handling/edit", data={**filled(told), "act": "add"})).status_code == 303
    now = await scene.directory.current()
    assert now
    assert (now.handling.appeal_days, now.handling.reopen_days) == (20, 30)
    assert "within 20 days" in (await manager.get("/policies/handling")).text


async def test_who_is_slower_by_a_moment_is_told_too(
    scene: WebScene, manager: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking at the number and taking it somebody else takes it."""
    form = filled(await manager.get("/policies/assignment/edit"))
    seen = filled(await manager.post("/policies/assignment/edit", data={**form, "act": "preview"}))
    original = scene.directory.load

    async def taken(*given: object, **more: object) -> object:
        await original({"handling": {}})
        return await original(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(scene.directory, "load", taken)
    told = await manager.post("/policies/assignment/edit", data={**seen, "act": "add"})
    assert told.status_code == 409
    assert filled(told)["text"] == form["text"]


async def test_what_is_not_there_is_not_found(scene: WebScene, manager: httpx.AsyncClient) -> None:
    """Versions that nobody added, and a directory before any router has started."""
    for path in ("/policies/sla/9", "/policies/sla/99999999999", "/directory/versions/9", f"{NEW}?from=9"):
        assert (await manager.get(path)).status_code == 404, path
    await scene.database["directory"].delete_many({})
    assert (await manager.get("/directory")).status_code == 404
