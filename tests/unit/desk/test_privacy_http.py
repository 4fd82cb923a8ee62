"""Who may see a complainant, what is written down before, and what erasure leaves."""

from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from pymongo.errors import AutoReconnect

from schemas.codes import StaffRole
from schemas.complaint import Contact
from schemas.notes import Note
from services.desk.contact_store import ContactStore
from services.desk.erasing import Eraser
from services.desk.erasure_store import ErasureStore
from services.desk.note_store import NoteStore
from services.runtime.mongo import Database
from tests.unit.desk.serving import NOON, Browser, Desk, browsing

LI = Contact(name="李四", phone="+8613800138000", email="Li@example.com")
WHY = {"reason": "the parcel has to be delivered again"}


async def test_an_agent_sees_who_complained_and_it_is_written_down_before(desk: Desk, browser: Browser) -> None:
    """With the reason and the names of the fields, not with what was in them."""
    ticket = await desk.complain(LI)
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    (contact,) = (await browser.ask("POST", f"/v1/tickets/{ticket}/contact", json=WHY)).json()["contacts"]
    assert (contact["name"], contact["phone"]) == ("李四", "+8613800138000")
    entry = desk.documents("audit")[-1]
    assert (entry["action"], entry["who"], entry["ticket"]) == ("unmask_contact", "clerk", str(ticket))
    assert entry["reason"] == WHY["reason"]
    assert entry["address"] == "127.0.0.0/24"
    assert "13800138000" not in str(desk.documents("audit"))


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
async def test_without_a_reason_nobody_is_unmasked(desk: Desk, browser: Browser, reason: str) -> None:
    """And what was tried in vain reads nothing."""
    ticket = await desk.complain(LI)
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    answer = await browser.ask("POST", f"/v1/tickets/{ticket}/contact", json={"reason": reason})
    assert answer.status_code == 422
    assert [one["code"] for one in answer.json()["errors"]] == ["reason_missing"]


async def test_words_are_read_by_who_may_and_that_is_written_down(desk: Desk, browser: Browser) -> None:
    """As the complainant wrote them."""
    ticket = await desk.complain(LI)
    await desk.add("eye", StaffRole.AUDITOR)
    await browser.sign_in("eye")
    (wording,) = (await browser.http.get(f"/v1/tickets/{ticket}/wording")).json()["wordings"]
    assert wording["description"] == "我叫李四，箱子湿了"
    assert desk.documents("audit")[-1]["action"] == "read_wording"


async def test_what_cannot_be_written_down_is_not_shown(
    desk: Desk, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither contact nor words: 503."""
    ticket = await desk.complain(LI)
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")

    async def away(*_: object) -> None:
        raise AutoReconnect("gone")

    monkeypatch.setattr("services.desk.audit_store.AuditStore.add", away)
    for answer in (
        await browser.ask("POST", f"/v1/tickets/{ticket}/contact", json=WHY),
        await browser.http.get(f"/v1/tickets/{ticket}/wording"),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "李四" not in answer.text


@pytest.mark.parametrize(
    ("ticket", "status"),
    [
        ({}, 200),
        ({"unit": "NET-1002"}, 404),
        ({"state": "closed"}, 403),
        ({"category": "attitude"}, 403),
        ({"source": "internal"}, 403),
        ({"flags": ["privacy_leak"]}, 403),
    ],
)
async def test_an_outlet_sees_who_complained_only_when_it_must(
    desk: Desk, browser: Browser, ticket: dict[str, Any], status: int
) -> None:
    """Of its own tickets; of others it does not learn that they are there."""
    id_ = await desk.complain(LI, **ticket)
    await desk.add("net-1001-desk", StaffRole.OUTLET_STAFF, departments=("outlets",), units=("NET-1001",))
    await browser.sign_in("net-1001-desk")
    contact = await browser.ask("POST", f"/v1/tickets/{id_}/contact", json=WHY)
    wording = await browser.http.get(f"/v1/tickets/{id_}/wording")
    assert contact.status_code == wording.status_code == status


async def test_a_ticket_that_is_not_there_looks_like_one_of_others(desk: Desk, browser: Browser) -> None:
    """The same answer, to the letter."""
    theirs = await desk.complain(LI, unit="NET-1002")
    await desk.add("net-1001-desk", StaffRole.OUTLET_STAFF, units=("NET-1001",))
    await browser.sign_in("net-1001-desk")
    answers = [await browser.http.get(f"/v1/tickets/{one}/wording") for one in (theirs, uuid4())]
    assert answers[0].content == answers[1].content


async def test_a_customer_is_shown_everything_that_is_stored(desk: Desk, browser: Browser) -> None:
    """However the number is written; nothing of anybody else."""
    ticket = await desk.complain(LI)
    await desk.complain(Contact(phone="+8613900139000"))
    await desk.add("manager", StaffRole.CENTRE_MANAGER)
    await browser.sign_in("manager")
    asked = {"phone": "138 0013 8000", "reason": "asked by letter"}
    stored = (await browser.ask("POST", "/v1/customers/stored", json=asked)).json()
    (complaint,) = stored["complaints"]
    assert complaint["contact"]["name"] == "李四"
    assert complaint["wording"]["description"]
    assert len(complaint["evidence"]) == 1
    assert [one["id"] for one in stored["tickets"]] == [str(ticket)]
    assert [one["moment"] for one in stored["messages"]] == ["received"]
    assert desk.documents("audit")[-1]["action"] == "show_customer"
    assert "13800138000" not in str(desk.documents("audit"))


async def test_erasing_leaves_statistics_and_nothing_personal(desk: Desk, browser: Browser) -> None:
    """Ticket and events stay; contact, words, notes, files, and masks of the messages go. Others' stay."""
    ticket = await desk.complain(LI, state="closed")
    other = await desk.complain(Contact(phone="+8613900139000"))
    notes = NoteStore(desk.database, desk.keyring)
    # A file of the other's that this complaint names too stays theirs.
    by_ticket = {document["ticket_id"]: document["evidence"] for document in desk.documents("contacts")}
    (photo,) = by_ticket[str(other)]
    await desk.database["evidence.files"].update_one({"_id": photo}, {"$set": {"metadata": {"of": str(other)}}})
    named = {"$set": {"evidence": [*by_ticket[str(ticket)], photo]}}
    await desk.database["contacts"].update_one({"ticket_id": str(ticket)}, named)
    for of in (ticket, other):
        await notes.put(uuid4(), Note(text="He called again."), ticket=of, at=NOON)
    before = {name: desk.documents(name) for name in ("tickets", "ticket_events")}
    await desk.add("manager", StaffRole.CENTRE_MANAGER)
    await browser.sign_in("manager")
    asked = {"email": "LI@example.com", "reason": "asked by letter"}
    erasure = (await browser.ask("POST", "/v1/customers/erase", json=asked)).json()
    again = (await browser.ask("POST", "/v1/customers/erase", json=asked)).json()
    assert erasure["id"] == again["id"]
    assert await desk.eraser().step() == 1
    done = (await browser.http.get(f"/v1/customers/erasures/{erasure['id']}")).json()
    assert (done["state"], done["complaints"], done["files"]) == ("done", 1, 1)
    assert (await browser.ask("POST", "/v1/customers/stored", json=asked)).json()["complaints"] == []
    contacts = {document["ticket_id"]: document for document in desk.documents("contacts")}
    assert (contacts[str(ticket)]["contact"], contacts[str(ticket)]["wording"]) == (None, None)
    assert contacts[str(other)]["contact"] is not None
    assert [len(desk.documents(name)) for name in ("evidence.files", "evidence.chunks")] == [1, 1]
    masks = {d["ticket_id"]: d["person"]["masked"]["phone"] for d in desk.documents("notifications")}
    assert masks == {str(ticket): None, str(other): "138****1234"}
    assert [document["ticket_id"] for document in desk.documents("notes")] == [str(other)]
    assert {name: desk.documents(name) for name in before} == before
    (kept,) = desk.documents("erasures")
    assert (kept["digests"], kept["reason"]) == ([], "")
    opened = await browser.http.get(f"/v1/tickets/{ticket}/wording")
    assert opened.json() == {"wordings": []}


async def test_a_customer_with_open_tickets_is_asked_twice(desk: Desk, browser: Browser) -> None:
    """Nobody could be told their result."""
    await desk.complain(LI)
    await desk.add("manager", StaffRole.CENTRE_MANAGER)
    await browser.sign_in("manager")
    asked = {"phone": "13800138000", "reason": "asked by letter"}
    refused = await browser.ask("POST", "/v1/customers/erase", json=asked)
    assert refused.status_code == 409
    assert "2611-000000" in refused.json()["detail"]
    assert desk.documents("erasures") == []
    taken = await browser.ask("POST", "/v1/customers/erase", json=asked | {"although_open": True})
    assert taken.status_code == 202


class Dying:
    """A store of erasures whose process dies at one of its calls."""

    def __init__(self, store: ErasureStore, calls: int) -> None:
        self._store = store
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*given: Any, **named: Any) -> Any:
            if self._left == 0:
                raise AutoReconnect("died")
            self._left -= 1
            return await method(*given, **named)

        return call


@pytest.mark.parametrize("calls", range(13))
async def test_a_worker_that_dies_is_followed_by_one_that_ends_its_work(closed_desk: Desk, calls: int) -> None:
    """At whichever step: nothing personal is left, and the erasure is done."""
    desk = closed_desk
    for _ in range(2):
        await desk.complain(LI, state="closed")
    database: Database = desk.database
    await database["erasures"].insert_one(
        {
            "_id": str(UUID(int=1)),
            "asked_at": desk.now,
            "asked_by": "manager",
            "reason": "x",
            "digests": [desk.keyring.blind("phone", str(LI.phone))],
            "state": "asked",
            "complaints": 0,
            "files": 0,
            "done_at": None,
        }
    )
    dying = cast("ErasureStore", Dying(ErasureStore(database), calls))
    first = Eraser(erasures=dying, customers=ContactStore(database, desk.keyring), now=lambda: desk.now)
    if calls < 12:
        with pytest.raises(AutoReconnect):
            await first.step()
    else:
        assert await first.step() == 1
    await desk.eraser().step()
    assert all(document["contact"] is None for document in desk.documents("contacts"))
    assert desk.documents("evidence.chunks") == desk.documents("evidence.files") == []
    assert desk.documents("erasures")[0]["state"] == "done"


async def test_who_complains_again_is_a_new_customer(desk: Desk, browser: Browser) -> None:
    """What came after the erasure is kept and shown."""
    await desk.complain(LI, state="closed")
    await desk.add("manager", StaffRole.CENTRE_MANAGER)
    await browser.sign_in("manager")
    asked = {"phone": "13800138000", "reason": "asked by letter"}
    await browser.ask("POST", "/v1/customers/erase", json=asked)
    await desk.eraser().step()
    await desk.complain(LI)
    stored = (await browser.ask("POST", "/v1/customers/stored", json=asked)).json()
    assert len(stored["complaints"]) == 1
    assert await desk.eraser().step() == 0


@pytest.mark.parametrize(
    ("role", "status"),
    [(role, 200 if role in {StaffRole.CENTRE_MANAGER, StaffRole.AUDITOR} else 403) for role in StaffRole],
)
async def test_requests_about_customers_are_for_few(desk: Desk, role: StaffRole, status: int) -> None:
    """Everybody else is refused before anything is looked for."""
    await desk.add("someone", role)
    async with browsing(desk.url) as browser:
        await browser.sign_in("someone")
        answer = await browser.ask("POST", "/v1/customers/stored", json={"phone": "13800138000", "reason": "x"})
    assert answer.status_code == status
