import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest

from schemas import events as e
from schemas import ids
from schemas.codes import Language, StaffRole, TicketState
from schemas.complaint import Money, Wording
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import Story, stories
from tests.unit.desk.web_scene import PHONE, WORDS, WebScene

PAGES = (
    "/queue",
    "/queue?severity=2&flag=regulator&sort=severity",
    "/queue/tabs",
    "/tickets/2611-000017",
    "/tickets/2611-000004",
    "/tickets/2611-000017/do/assign",
    "/tickets/2611-000005/do/complete_review",
    "/new",
    "/reviews",
    "/approvals",
    "/board",
    "/board.json",
    "/knowledge?category=delay",
    "/clusters",
    "/templates",
    "/templates/answered/sms/zh",
    "/templates/answered/email/en?version=1",
    "/clusters?window=day",
    "/audit",
    "/policies",
    "/policies/sla/1",
    "/policies/sla/new",
    "/policies/handling",
    "/policies/assignment",
    "/policies/assignment/versions/1",
    "/policies/handling/edit",
    "/directory",
    "/directory?q=hub",
    "/directory/edit?section=people",
    "/directory/versions/1",
    "/",
)
_LABELLED = {"select", "textarea", "input"}


class Reader(HTMLParser):
    """What of a page the rules are about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[dict[str, str | None]] = []
        self.depth_of_label = 0
        self.has_main = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and not given.get("src"):
            self.wrong.append("script without src")
        if tag == "style" or "style" in given:
            self.wrong.append("style in the page")
        self.wrong += [f"{name} on {tag}" for name in given if name.startswith(("on", "hx-on"))]
        if (given.get("href") or "").startswith("javascript:"):
            self.wrong.append("javascript address")
        if given.get("id"):
            self.ids.append(given["id"] or "")
        self.has_main |= tag == "main"
        if tag == "label":
            self.depth_of_label += 1
            self.labels.add(given.get("for") or "")
        if tag in _LABELLED and given.get("type") != "hidden" and not self.depth_of_label:
            self.fields.append(given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self.depth_of_label -= 1

    def unlabelled(self) -> list[str]:
        return [str(f.get("name")) for f in self.fields if not f.get("aria-label") and f.get("id") not in self.labels]


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """Five tickets: one of NET-1, one to be reviewed."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    await scene.rules()
    story = Story()
    story.deliver(1)
    story.pass_until(100)
    odd = stories(["6"], opened={"case_number": "<script>alert(1)</script>", "waybills": ('"><img src=x>',)})
    in_review = Story(
        ticket=stories(["5"])[0].ticket, number="2611-000005", classified={"said": {"needs_review": True}}
    )
    in_review.tell(e.TicketReturned, TicketState.IN_REVIEW, 3, before_department="hubs", before_unit="HUB-01")
    told = [story, *stories(["4"], assigned={"unit": "NET-1"}), in_review, *odd]
    await scene.tickets(told)
    return scene


@pytest.fixture
async def agent(scene: WebScene) -> AsyncIterator[httpx.AsyncClient]:
    """An agent's browser."""
    async with scene.client("agent") as client:
        yield client


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("role", list(StaffRole))
async def test_every_page_for_every_role(scene: WebScene, role: StaffRole, language: Language) -> None:
    """A page is shown or refused as a whole, with labels, one main part, and nothing that the policy would stop."""
    await scene.people(language)
    async with scene.client(role.value) as client:
        for path in PAGES:
            answer = await client.get(path)
            assert answer.status_code in (200, 303, 403, 404, 409), (path, answer.text[:500])
            if answer.status_code == 303 or path == "/board.json":
                continue
            read = Reader(answer.text)
            assert read.wrong == [], path
            assert read.unlabelled() == [], path
            assert len(read.ids) == len(set(read.ids)), path
            assert "<script>alert" not in answer.text
            assert "<img" not in answer.text
            assert "script-src 'self'" in answer.headers["content-security-policy"]
            if path != "/queue/tabs":
                assert read.has_main, path
                assert f'lang="{"zh-CN" if language is Language.ZH else "en"}"' in answer.text


async def test_menus_follow_rights(scene: WebScene) -> None:
    """Nobody is offered a page that would be refused, and every offered one is shown."""
    for role in StaffRole:
        async with scene.client(role.value) as client:
            home = await client.get("/", follow_redirects=True)
            offered = re.findall(r'<li><a href="(/[a-z]+)"', home.text)
            for path in offered:
                assert (await client.get(path)).status_code == 200, (role, path)
            for path in {"/new", "/reviews", "/approvals", "/audit", "/queue"} - set(offered):
                assert (await client.get(path)).status_code == 403, (role, path)


async def test_signing_in_and_out(scene: WebScene) -> None:
    """Whoever asks for a page signs in first and then gets that page; a wrong password is told; signing out ends it."""
    async with scene.client() as client:
        sent = await client.get("/tickets/2611-000017?done=assign")
        assert sent.status_code == 303
        assert unquote(sent.headers["location"]) == "/sign-in?next=/tickets/2611-000017?done=assign"
        wrong = await client.post("/sign-in", data={"name": "agent", "password": "wrong", "next": "/queue"})
        assert (wrong.status_code, "Name or password is wrong" in wrong.text) == (401, True)
        elsewhere = {"name": "agent", "password": "a sentence that only tests know", "next": "//evil.example"}
        entered = await client.post("/sign-in", data=elsewhere)
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        queue = await client.get("/queue")
        token = re.search(r'name="csrf_token" value="(\w+)"', queue.text)
        assert token
        refused = await client.post("/sign-out", data={"csrf_token": "x"})
        assert refused.status_code == 403
        assert (await client.post("/sign-out", data={"csrf_token": token[1]})).headers["location"] == "/sign-in"
        assert (await client.get("/queue")).status_code == 303


async def test_the_language_is_the_persons(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """Changed once, it stays."""
    form = {"csrf_token": scene.csrf("agent"), "language": "zh", "next": "/queue"}
    assert (await agent.post("/language", data=form)).headers["location"] == "/queue"
    assert "工单队列" in (await agent.get("/queue")).text


async def test_search_keeps_numbers_of_people_out_of_urls(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """A phone number becomes a key, and the look is audited; a ticket number leads to its ticket."""
    by_phone = await agent.post("/queue/search", data={"csrf_token": scene.csrf("agent"), "q": "138 0013 8000"})
    assert "customer=" in by_phone.headers["location"]
    assert "13800138000" not in by_phone.headers["location"]
    entries = await scene.database["audit"].find({"action": "find_customer"}).to_list(None)
    assert len(entries) == 1
    by_number = await agent.post("/queue/search", data={"csrf_token": scene.csrf("agent"), "q": "2611000017"})
    assert by_number.headers["location"] == "/tickets/2611-000017"
    unsafe = await agent.get("/queue", params={"q": "13800138000"})
    assert unsafe.status_code == 422


async def test_an_outlet_sees_its_own_and_no_complainant(scene: WebScene) -> None:
    """Tickets of others are not there; its own hide who complained where the case does not need it."""
    async with scene.client("outlet_staff") as client:
        assert "2611-000017" not in (await client.get("/queue")).text
        assert (await client.get("/tickets/2611-000017")).status_code == 404
        assert (await client.get("/tickets/2611-000017/do/add_note")).status_code == 404
        own = await client.get("/tickets/2611-000004")
        assert own.status_code == 200
        assert "138****1234" not in own.text


async def test_contact_and_words_are_shown_for_a_reason(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """Without a reason nothing is shown; with one it is, and the audit says so before."""
    ticket, form = "/tickets/2611-000017", {"csrf_token": scene.csrf("agent")}
    page = (await agent.get(ticket)).text
    assert "138****1234" in page
    assert PHONE not in page
    assert WORDS not in page
    assert (await agent.post(f"{ticket}/contact", data={**form, "reason": " "})).status_code == 422
    assert PHONE in (await agent.post(f"{ticket}/contact", data={**form, "reason": "call back"})).text
    assert WORDS in (await agent.post(f"{ticket}/wording", data=form)).text
    entries = await scene.database["audit"].find({}).to_list(None)
    assert [(one["action"], one["reason"]) for one in entries] == [
        ("unmask_contact", "call back"),
        ("read_wording", ""),
    ]


async def test_a_command_by_form(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """A form that is sent twice is one command; its words are in the trail, read by nobody without an audit."""
    path = "/tickets/2611-000017/do/answer"
    form = await _form(agent, path)
    form |= {
        "remedy": "refund",
        "amount": "25.50",
        "for_customer": "We pay it back.",
        "csrf_token": scene.csrf("agent"),
    }
    for _ in range(2):
        answer = await agent.post(path, data=form)
        assert answer.headers["location"] == "/tickets/2611-000017?done=answer"
    assert len(scene.issued) == 1
    assert scene.issued[0].expected_version == 3
    page = (await agent.get("/tickets/2611-000017?done=answer")).text
    assert "Refund, CN¥25.50" in page
    assert "We pay it back." in page
    assert await scene.database["audit"].count_documents({"action": "read_notes"}) == 1


async def test_a_form_that_comes_again_with_other_words_is_another_command(
    scene: WebScene, agent: httpx.AsyncClient
) -> None:
    """Who goes back, writes on and sends it again is not told that it was done: the words would be gone."""
    path = "/tickets/2611-000017/do/add_note"
    form = await _form(agent, path) | {"text": "Called.", "csrf_token": scene.csrf("agent")}
    assert (await agent.post(path, data=form)).status_code == 303
    more = await agent.post(path, data=form | {"text": "Called, nobody answered."})
    assert more.status_code == 409
    assert "A note was written." in more.text
    assert "Called, nobody answered." in more.text
    again = _hidden(more.text) | {"text": "Called, nobody answered.", "csrf_token": scene.csrf("agent")}
    assert (await agent.post(path, data=again)).status_code == 303
    assert len(scene.issued) == 2


async def test_the_second_person_loses_nothing(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """Who comes second is told what changed and by whom, finds all that was typed, and may go on."""
    path = "/tickets/2611-000017/do/answer"
    late = await _form(agent, path) | {"for_customer": "My long letter.", "csrf_token": scene.csrf("agent")}
    async with scene.client("supervisor") as other:
        note = await _form(other, "/tickets/2611-000017/do/add_note")
        note |= {"text": "Seen.", "csrf_token": scene.csrf("supervisor")}
        await other.post("/tickets/2611-000017/do/add_note", data=note)
    moved = await agent.post(path, data=late)
    assert moved.status_code == 409
    assert "A note was written." in moved.text
    assert "by supervisor" in moved.text
    assert "My long letter." in moved.text
    again = _hidden(moved.text) | {"for_customer": "My long letter.", "csrf_token": scene.csrf("agent")}
    assert again["version"] == "4"
    assert (await agent.post(path, data=again)).status_code == 303


async def test_every_mistake_of_a_form_at_once(scene: WebScene) -> None:
    """All that is wrong is told, each beside its field, and what was typed stays."""
    async with scene.client("supervisor") as client:
        path = "/tickets/2611-000017/do/plan_corrective_action"
        form = await _form(client, path) | {"due_on": "soon", "unit": "HUB-09", "csrf_token": scene.csrf("supervisor")}
        answer = await client.post(path, data=form)
    assert answer.status_code == 422
    assert set(re.findall(r'href="#f-(\w+)"', answer.text)) == {"owner", "due_on", "text"}
    assert 'value="HUB-09"' in answer.text
    assert scene.issued == []


async def test_only_legal_and_permitted_commands_are_offered(scene: WebScene) -> None:
    """What the state or the role does not allow has no button, and its form says why."""
    async with scene.client("management") as client:
        assert "/do/" not in (await client.get("/tickets/2611-000017")).text
        assert (await client.get("/tickets/2611-000017/do/answer")).status_code == 403
    async with scene.client("agent") as client:
        page = (await client.get("/tickets/2611-000017")).text
        assert "/do/answer" in page
        assert "/do/decide_appeal" not in page
        assert (await client.get("/tickets/2611-000017/do/close")).status_code == 409
        assert (await client.get("/tickets/2611-000017/do/follow_up")).status_code == 404


async def test_bulk_assignment_answers_for_each(scene: WebScene) -> None:
    """Of two tickets, one of which was changed since, one is assigned and the other says why not."""
    page = (await scene.client("supervisor").get("/queue")).text
    chosen = re.findall(r'name="ticket" value="([^"]+)"', page)[:2]
    stale = chosen[1].rpartition(":")[0] + ":1"
    form = {"csrf_token": scene.csrf("supervisor"), "ticket": [chosen[0], stale], "person": "p9"}
    answer = (await scene.client("supervisor").post("/queue/assign", data=form)).text
    assert "1 of 2 assigned" in answer
    assert "changed meanwhile" in answer
    assert (
        await scene.client("agent").post("/queue/assign", data={"csrf_token": scene.csrf("agent")})
    ).status_code == 403


async def test_views_are_tabs(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """What was filtered is kept under a name, counted, and removed by its owner."""
    token = {"csrf_token": scene.csrf("agent")}
    await agent.post("/queue/views", data={**token, "name": "Hubs <b>", "query": "unit=HUB-01&is=junk"})
    tabs = (await agent.get("/queue/tabs?unit=HUB-01")).text
    assert 'href="/queue?unit=HUB-01" aria-current="true">Hubs &lt;b&gt; <span class="number">3<' in tabs
    found = re.search(r"/queue/views/[\w-]+/remove", (await agent.get("/queue?unit=HUB-01")).text)
    assert found
    await agent.post(found[0], data=token)
    assert "Hubs" not in (await agent.get("/queue/tabs")).text


async def test_what_is_more_than_a_page_is_counted_with_the_tabs(agent: httpx.AsyncClient) -> None:
    """A page does not wait for its count, and one that shows all needs no asking."""
    whole, first = (await agent.get("/queue")).text, (await agent.get("/queue?size=2")).text
    counted = re.search(r'<p id="counted">(.+)</p>', whole)
    assert counted
    assert '<p id="counted"></p>' in first
    assert f'<p id="counted" hx-swap-oob="true">{counted[1]}</p>' in (await agent.get("/queue/tabs?size=2")).text


async def test_single_lines_are_renewed(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """What changed is had again line by line, and of what may not be seen there is none."""
    ticket = stories(["4"])[0].ticket
    assert f'data-id="{ticket}"' in (await agent.get("/queue/rows", params={"id": [str(ticket), "x"]})).text
    async with scene.client("outlet_staff") as client:
        answer = await client.get("/queue/rows", params={"id": [str(ticket), str(Story().ticket)]})
        assert str(ticket) in answer.text
        assert str(Story().ticket) not in answer.text


async def test_a_complaint_on_the_phone(tmp_path: Path) -> None:
    """It goes to the intake as a channel's, what is wrong comes back beside the field, and nothing typed is lost."""
    taken: list[httpx.Request] = []

    def intake(request: httpx.Request) -> httpx.Response:
        taken.append(request)
        if request.method == "GET":
            return httpx.Response(200, json={"ticket_number": "2611-000099"})
        if b"+86" not in request.content:
            errors = [
                {"field": "complainant.phone", "code": "phone_invalid", "problem": "No number.", "todo": "Check."}
            ]
            return httpx.Response(422, json={"title": "wrong", "errors": errors})
        return httpx.Response(202, json={"complaint_id": "5f1f7a52-2f6c-5a8e-9d8b-0d6f9b9a6c11"})

    scene = WebScene(cast("Database", Store().database()), tmp_path, intake=httpx.MockTransport(intake))
    await scene.people()
    async with scene.client("agent") as agent:
        form = _hidden((await agent.get("/new")).text)
        form |= {"csrf_token": scene.csrf("agent"), "phone": "12", "description": "Late & wet", "waybills": "A1 B2"}
        wrong = await agent.post("/new", data=form)
        assert wrong.status_code == 422
        assert 'id="e-phone">No number. Check.' in wrong.text
        assert "Late &amp; wet" in wrong.text
        right = await agent.post("/new", data=form | {"phone": PHONE, "key": _hidden(wrong.text)["key"]})
        assert right.headers["location"] == "/new?submitted=5f1f7a52-2f6c-5a8e-9d8b-0d6f9b9a6c11"
        assert "2611-000099" in (await agent.get(right.headers["location"])).text
    sent = taken[1]
    assert sent.headers["idempotency-key"].startswith("desk-")
    assert taken[0].headers["idempotency-key"] != sent.headers["idempotency-key"]
    assert b'"channel":"phone"' in sent.content.replace(b": ", b":")
    assert b'["A1","B2"]' in sent.content.replace(b", ", b",")


async def test_open_tickets_of_the_caller_are_shown(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """By waybill at once; by a number that is one of a person, and then audited."""
    form = {"csrf_token": scene.csrf("agent"), "waybills": "YT0000000000017"}
    known = (await agent.post("/new/known", data=form)).text
    assert "/tickets/2611-000017" in known
    assert await scene.database["audit"].count_documents({}) == 0
    await agent.post("/new/known", data=form | {"phone": "138 0013 8000"})
    assert await scene.database["audit"].count_documents({"action": "find_customer"}) == 1


async def test_the_board_counts_open_tickets(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """By department, and as broken where a clock was."""
    told: dict[str, Any] = (await agent.get("/board.json")).json()
    assert [d["department"] for d in told["departments"]] == ["hubs"]
    assert sum(told["departments"][0][key] for key in ("on_time", "soon", "breached")) == 4
    async with scene.client("outlet_staff") as outlet:
        of_unit: dict[str, Any] = (await outlet.get("/board.json")).json()
    assert sum(sum(d[key] for key in ("on_time", "soon", "breached")) for d in of_unit["departments"]) == 1


async def test_what_waits_for_approval_is_not_called_done(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """It says who decides, and that the customer knows nothing of it."""
    (story,) = stories(["7"])
    proposed = {"command": "answer", "remedy": "refund", "amount": Money(amount=Decimal(1500), currency="CNY")}
    story.tell(e.TicketApprovalRequested, TicketState.INVESTIGATING, 4, **proposed, chain=(StaffRole.SUPERVISOR,))
    await scene.tickets([story])
    page = (await agent.get("/tickets/2611-000007?done=answer")).text
    assert "“Answer” waits for approval by Supervisor; the customer has not been told." in unescape(page)
    assert "Supervisor decides" in page
    assert "Done:" not in page


async def test_words_of_several_people_say_when_and_by_what_they_came(
    scene: WebScene, agent: httpx.AsyncClient
) -> None:
    """Whoever calls back must know whose words are whose."""
    (story,), second = stories(["8"]), UUID(int=8)
    came = {"complaint_id": second, "channel": "email", "received_at": story.received_at + timedelta(hours=3)}
    more = {"contact_ref": second, "masked": {}, "matched_by": "waybill", "repeats": 1}
    story.tell(e.TicketFollowedUp, TicketState.INVESTIGATING, 180, **came, **more)
    await scene.tickets([story])
    first = str(story.ticket)
    wording = scene.keyring.seal(Wording(description="It is wet, too.").seal_bytes(), about=second).model_dump()
    await scene.database["contacts"].insert_one(
        {"_id": str(ids.contact_ref(second)), "complaint_id": str(second), "contact": None, "wording": wording}
    )
    await scene.database["tickets"].update_one({"_id": first}, {"$set": {"complaints": [first, str(second)]}})
    form = {"csrf_token": scene.csrf("agent")}
    page = (await agent.post("/tickets/2611-000008/wording", data=form)).text
    assert "It is wet, too." in page
    assert re.search(r"<h3>\d+ Nov \d\d:\d\d · E-mail</h3>", page)


async def test_the_audit_is_sought_by_ticket_number(scene: WebScene, agent: httpx.AsyncClient) -> None:
    """And shows numbers: nobody knows a ticket by its id."""
    await agent.post("/tickets/2611-000017/wording", data={"csrf_token": scene.csrf("agent")})
    async with scene.client("auditor") as auditor:
        assert 'href="/tickets/' in (await auditor.get("/audit?ticket=2611-000017")).text
        assert ">2611-000017</a>" in (await auditor.get("/audit")).text
        assert ">2611-000017</a>" not in (await auditor.get("/audit?ticket=2611-000008")).text


async def _form(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return _hidden(answer.text)


def _hidden(text: str) -> dict[str, str]:
    """Hidden fields of the form that a page is about."""
    found = re.findall(r'<input type="hidden" name="(version|command_id|key)" value="([^"]*)"', text)
    return dict(found)


async def test_an_address_that_there_is_not_has_the_menu_of_who_is_signed_in(scene: WebScene) -> None:
    """In their language; strangers get no menu, programs no page."""
    page = {"Accept": "text/html", "Accept-Language": "en"}
    await scene.people(Language.ZH)
    async with scene.client("agent") as client:
        known = await client.get("/nowhere", headers=page)
        assert (known.status_code, known.headers["content-language"]) == (404, "zh")
        assert 'href="/queue"' in known.text
        told = await client.get("/v1/nowhere", headers={"Accept": "application/json"})
        assert (told.status_code, told.json()["type"]) == (404, "urn:amends:problem:no-such-page")
        client.cookies.clear()
        strange = await client.get("/nowhere", headers=page)
        assert strange.status_code == 404
        assert 'href="/queue"' not in strange.text
