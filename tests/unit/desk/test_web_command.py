"""Forms of commands: what would be sent is shown before it is, and files come with them."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import cast
from uuid import UUID, uuid5

import httpx
import pytest

from schemas import ids
from schemas.commands import AddEvidence
from services.desk.web_visit import BODY_BYTES_MAX
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import TICKET, Story, stories
from tests.unit.desk.web_scene import KeptFiles, WebScene

ANSWER = "/tickets/2611-000017/do/answer"
PHOTO = b"\x89PNG photo"


class Intake:
    """Takes files that begin as a picture does, and every complaint that names none that nobody has."""

    def __init__(self) -> None:
        self.taken: list[UUID] = []
        self.bodies: list[bytes] = []
        self.is_away = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            return httpx.Response(503)
        if request.url.path == "/v1/evidence":
            if not request.content.startswith(b"\x89PNG"):
                errors = [{"field": "file", "problem": "It is no picture.", "todo": "Choose one."}]
                return httpx.Response(422, json={"title": "wrong", "errors": errors})
            self.taken.append(uuid5(TICKET, f"file {len(self.taken)}"))
            return httpx.Response(201, json={"id": str(self.taken[-1])})
        self.bodies.append(request.content)
        errors = [
            {"field": "evidence.0", "problem": "No such file.", "value": str(UUID(int=0))},
            {"field": "complainant.phone", "problem": "No number.", "value": "12"},
        ]
        if str(UUID(int=0)).encode() in request.content:
            return httpx.Response(422, json={"title": "wrong", "errors": errors})
        return httpx.Response(202, json={"complaint_id": str(TICKET)})


@pytest.fixture
def intake() -> Intake:
    """One."""
    return Intake()


@pytest.fixture
async def scene(tmp_path: Path, intake: Intake) -> WebScene:
    """Two tickets, one of NET-1."""
    scene = WebScene(cast("Database", Store().database()), tmp_path, intake=httpx.MockTransport(intake))
    await scene.people()
    await scene.tickets([Story(), *stories(["4"], assigned={"unit": "NET-1"})])
    return scene


@pytest.fixture
async def agent(scene: WebScene) -> AsyncIterator[httpx.AsyncClient]:
    """An agent's browser."""
    async with scene.client("agent") as client:
        yield client


def hidden(page: str) -> dict[str, str]:
    """Fields that nobody types."""
    return dict(re.findall(r'name="(version|command_id|key)" value="([^"]*)"', page))


async def form(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    """Of a page."""
    return hidden((await client.get(path)).text)


async def test_the_message_is_shown_before_it_is_sent(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """In the complainant's language, with the number of parts; nothing is issued, and all that was typed stays."""
    typed = await form(agent, ANSWER) | {
        "remedy": "refund",
        "amount": "25.50",
        "for_customer": "我们马上退费。",
        "csrf_token": scene.csrf("agent"),
    }
    shown = await agent.post(ANSWER, data=typed | {"preview": "yes"})
    assert shown.status_code == 200
    assert scene.issued == []
    message = re.search(r'<blockquote class="message" lang="zh-CN">([^<]+)', shown.text)
    assert message
    assert "2611-000017" in message[1]
    assert "退还费用" in message[1]
    assert "¥25.50" in message[1]
    assert "我们马上退费" in message[1]
    assert "〔客户专属页面链接〕" in message[1]
    assert "https://care.example" not in shown.text
    assert re.search(r"SMS parts: [234]", shown.text)
    assert 'value="25.50"' in shown.text
    assert hidden(shown.text) == {name: typed[name] for name in ("version", "command_id")}
    assert (await agent.post(ANSWER, data=typed)).headers["location"].endswith("?done=answer")


async def test_what_was_typed_is_there_to_be_sent_again_when_kafka_is_away(
    scene: WebScene, agent: httpx.AsyncClient
) -> None:
    """However often it is sent, it is one command."""
    typed = await form(agent, ANSWER) | {
        "remedy": "refund",
        "for_customer": 'We pay "all" of it back.\nSoon.',
        "csrf_token": scene.csrf("agent"),
    }
    scene.is_stalled = True
    away = await agent.post(ANSWER, data=typed)
    assert (away.status_code, away.headers["retry-after"]) == (503, "2")
    given = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', away.text))
    assert {name: unescape(text) for name, text in given.items()} == typed
    assert '<form method="post" action="/tickets/2611-000017/do/answer">' in away.text
    assert "Nothing was changed" not in away.text
    scene.is_stalled = False
    for _ in range(2):
        assert (await agent.post(ANSWER, data=typed)).headers["location"].endswith("?done=answer")
    assert len(scene.issued) == 1


async def test_what_was_typed_is_there_to_be_sent_again_when_the_database_is_away(
    scene: WebScene, agent: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is not even known who sends it; a password is not shown again."""
    typed = {"for_customer": "We pay it back.", "csrf_token": scene.csrf("agent")}
    monkeypatch.setattr(scene.doors, "_seconds_max", 0.05)
    monkeypatch.setattr(scene.sessions, "get", lambda _: asyncio.Event().wait())
    away = await agent.post(ANSWER, data=typed)
    assert away.status_code == 503
    assert 'value="We pay it back."' in away.text
    secret = await agent.post("/accounts", data={"password": "correct horse", "csrf_token": typed["csrf_token"]})
    assert secret.status_code == 503
    assert "horse" not in secret.text
    assert (await agent.get(ANSWER)).status_code == 503


async def test_a_script_gets_the_messages_alone(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """And while the form is incomplete it is told so, without complaints about what is not typed yet."""
    path = "/tickets/2611-000017/do/wait_for_customer"
    typed = await form(agent, path) | {"preview": "yes", "csrf_token": scene.csrf("agent")}
    headers = {"HX-Request": "true"}
    early = await agent.post(path, data=typed, headers=headers)
    assert early.status_code == 200
    assert "as soon as the form is complete" in early.text
    piece = await agent.post(path, data=typed | {"what": "photos"}, headers=headers)
    assert "<html" not in piece.text
    assert "包裹和物品的照片" in piece.text
    assert scene.issued == []


async def test_a_preview_needs_the_right_to_the_command(scene: WebScene) -> None:
    """Who may not give a command is not shown what it would say."""
    async with scene.client("management") as client:
        typed = {"preview": "yes", "csrf_token": scene.csrf("management"), "version": "3", "remedy": "refund"}
        for headers in ({}, {"HX-Request": "true"}):
            assert (await client.post(ANSWER, data=typed, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("assign", "The customer is not told of this."),
        ("add_note", "The customer is not told of this."),
        ("link_as_repeat", "has joined the other ticket"),
        ("complete_review", "only if a promised time moves"),
    ],
)
async def test_commands_say_whether_the_customer_is_told(agent: httpx.AsyncClient, command: str, said: str) -> None:
    """There is nothing to preview where nothing is sent."""
    page = (await agent.get(f"/tickets/2611-000017/do/{command}")).text
    assert said in page
    assert 'name="preview"' not in page


async def test_files_are_taken_and_what_is_wrong_is_told_at_once(
    scene: WebScene, agent: httpx.AsyncClient, intake: Intake
) -> None:
    """A file that was taken is kept in the form that comes again, beside everything that is wrong."""
    path = "/tickets/2611-000017/do/add_evidence"
    typed = await form(agent, path) | {"csrf_token": scene.csrf("agent"), "text": "x" * 20_001}
    files = [("files", ("front door.png", PHOTO)), ("files", ("list.exe", b"MZ")), ("files", ("a.txt", b"text"))]
    wrong = await agent.post(path, data=typed, files=files)
    assert wrong.status_code == 422
    assert "list.exe was not taken: It is no picture. Choose one." in wrong.text
    assert "a.txt was not taken" in wrong.text
    assert 'id="e-text"' in wrong.text
    kept = re.findall(r'name="evidence" value="([^"]+)" checked', wrong.text)
    assert kept == [f"{intake.taken[0]} front door.png"]
    assert scene.issued == []
    again = typed | {"text": "", "evidence": kept[0]}
    assert (await agent.post(path, data=again, files=files[:1])).status_code == 303
    assert scene.issued[0].action == AddEvidence(evidence=tuple(intake.taken))


async def test_no_file_is_lost_while_the_intake_is_away(
    scene: WebScene, agent: httpx.AsyncClient, intake: Intake
) -> None:
    """It is named with what to do, and nothing is issued without it."""
    path = "/tickets/2611-000017/do/add_evidence"
    typed = await form(agent, path) | {"csrf_token": scene.csrf("agent")}
    intake.is_away = True
    answer = await agent.post(path, data=typed, files=[("files", ("door.png", PHOTO))])
    assert answer.status_code == 422
    assert "door.png could not be kept: the intake does not answer" in answer.text
    assert "Fill this in" not in answer.text
    assert scene.issued == []


async def test_a_form_of_no_end_is_not_read(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """What is larger than all files that may come at once is refused before it is read."""
    headers = {"Content-Length": str(BODY_BYTES_MAX + 1), "X-CSRF-Token": scene.csrf("agent")}
    answer = await agent.post(ANSWER, content=b"x", headers=headers)
    assert answer.status_code == 413
    assert "36 MB" in answer.text


async def test_a_complaint_with_files(scene: WebScene, agent: httpx.AsyncClient, intake: Intake) -> None:
    """With a file that is refused so is the complaint, and all that is wrong is told; the other files stay."""
    typed = await form(agent, "/new") | {"csrf_token": scene.csrf("agent"), "phone": "12", "description": "Wet."}
    files = [("files", ("door.png", PHOTO)), ("files", ("a.txt", b"text"))]
    wrong = await agent.post("/new", data=typed, files=files)
    assert wrong.status_code == 422
    assert "a.txt was not taken" in wrong.text
    assert "No number." in wrong.text
    assert "No such file." not in wrong.text
    assert "To be corrected: 2" in wrong.text
    kept = re.findall(r'name="evidence" value="([^"]+)" checked', wrong.text)
    right = await agent.post("/new", data=typed | hidden(wrong.text) | {"evidence": kept[0]})
    assert right.headers["location"].startswith("/new?submitted=")
    assert str(intake.taken[0]).encode() in intake.bodies[1]


async def test_files_are_downloaded_by_those_who_may(tmp_path: Path) -> None:
    """Listed with what they are, given as attachments, each reading audited; those of other tickets are not there."""
    photo, foreign, taken = UUID(int=7), UUID(int=8), UUID(int=6)
    files = KeptFiles()
    files.kept = {photo: PHOTO, foreign: b"other", taken: b"of another ticket, and named by this one"}
    files.owners = {photo: TICKET, taken: UUID(int=99)}
    scene = WebScene(cast("Database", Store().database()), tmp_path, files=files)
    await scene.people()
    await scene.tickets([Story()])
    ref = str(ids.contact_ref(TICKET))
    await scene.database["contacts"].update_one({"_id": ref}, {"$set": {"evidence": [str(photo), str(taken)]}})
    path = f"/tickets/2611-000017/evidence/{photo}"
    async with scene.client("agent") as agent:
        page = (await agent.get("/tickets/2611-000017")).text
        assert re.findall(r'href="([^"]+)" download>PNG</a>', page) == [path]
        answer = await agent.get(path)
        assert answer.content == PHOTO
        assert answer.headers["content-disposition"].startswith('attachment; filename="2611-000017-')
        assert answer.headers["x-content-type-options"] == "nosniff"
        for unknown in (foreign, taken, UUID(int=9), "x"):
            assert (await agent.get(f"/tickets/2611-000017/evidence/{unknown}")).status_code == 404
    entries = [entry async for entry in scene.database["audit"].find({"action": "read_notes"})]
    assert [entry["about"] for entry in entries] == [str(photo)]
    async with scene.client("management") as client:
        assert (await client.get(path)).status_code == 403
        assert "/evidence/" not in (await client.get("/tickets/2611-000017")).text
    async with scene.client("outlet_staff") as client:
        assert (await client.get(path)).status_code == 404


async def test_a_ticket_is_taken_with_one_button(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """It goes to whoever presses it, in the department and unit that it is in; then there is no such button."""
    page = (await agent.get("/tickets/2611-000017")).text
    button = re.search(r'<form[^>]+class="mine">(.*?)</form>', page)
    assert button
    data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', button[1]))
    assert data["person"] == "agent"
    assert (await agent.post("/tickets/2611-000017/do/assign", data=data)).status_code == 303
    action = scene.issued[0].action.model_dump(exclude={"name"})
    assert action == {"department": "hubs", "unit": "HUB-01", "person": "agent"}
    assert "data-mine" not in (await agent.get("/tickets/2611-000017")).text
