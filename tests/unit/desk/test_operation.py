"""Pages and API of operation: dead letters, refused complaints, deliveries, accounts, oneself, links, and failures."""

import re
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from schemas.codes import StaffRole
from services.desk.accounts import Membership
from services.desk.rejected import value_at
from services.desk.rights import scope
from services.desk.security_headers import HEADERS
from services.runtime.link_store import MongoLinkStore
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import Story
from tests.unit.desk.web_scene import NOW, PHONE, WebScene

NEW_ID = UUID("5f1f7a52-2f6c-5a8e-9d8b-0d6f9b9a6c11")
PAGES = {
    "/dead-letters": "read_dead_letters",
    "/rejected": "read_rejected",
    "/deliveries": "read_deliveries",
    "/accounts": "read_accounts",
    "/accounts/agent": "read_accounts",
    "/tickets/2611-000017/link": "revoke_link",
    "/v1/dead-letters": "read_dead_letters",
    "/v1/rejected": "read_rejected",
    "/v1/deliveries": "read_deliveries",
}


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """One ticket, and an intake that takes what has a phone number."""

    def intake(request: httpx.Request) -> httpx.Response:
        if b"+86" not in request.content:
            return httpx.Response(422, json={"errors": [{"field": "complainant.phone", "problem": "No number."}]})
        return httpx.Response(202, json={"complaint_id": str(NEW_ID)})

    scene = WebScene(cast("Database", Store().database()), tmp_path, intake=httpx.MockTransport(intake))
    await scene.people()
    await scene.tickets([Story()])
    return scene


async def _post(scene: WebScene, who: str, path: str, /, **form: Any) -> httpx.Response:
    async with scene.client(who) as client:
        return await client.post(path, data={"csrf_token": scene.csrf(who), **form})


async def _get(scene: WebScene, role: str, path: str) -> httpx.Response:
    async with scene.client(role) as client:
        return await client.get(path)


@pytest.mark.parametrize("role", list(StaffRole))
async def test_every_page_is_for_those_who_have_its_right(scene: WebScene, role: StaffRole) -> None:
    """And for nobody else; one's own page is for everybody."""
    for path, action in PAGES.items():
        expected = 200 if scope(role, action) else 403
        assert (await _get(scene, role.value, path)).status_code == expected, path
    assert (await _get(scene, role.value, "/me")).status_code == 200


async def test_letters_are_replayed_once_and_given_up_with_a_reason(scene: WebScene) -> None:
    """What they say is never shown, and both acts are in the audit."""
    first, second = scene.letters.add(value=b"a secret"), scene.letters.add()
    listed = (await _get(scene, "auditor", "/dead-letters")).text
    assert first in listed
    assert "a secret" not in listed + (await _get(scene, "auditor", f"/dead-letters/{first}")).text
    for _ in range(2):
        await _post(scene, "administrator", "/dead-letters", do="replay", letter=first)
    assert scene.letters.sent == [first]
    assert (await _post(scene, "administrator", "/dead-letters", do="discard", letter=second)).status_code == 422
    await _post(scene, "administrator", "/dead-letters", do="discard", letter=second, reason="an old test")
    await _post(scene, "administrator", "/dead-letters", do="replay_topic", topic="")
    assert scene.letters.sent == [first]
    acts = [one async for one in scene.database["audit"].find({"action": "replay_dead_letters"})]
    assert sorted(one["reason"] for one in acts) == ["", "an old test"]
    assert (await _post(scene, "auditor", "/dead-letters", do="replay", letter=first)).status_code == 403


async def test_kafka_that_is_away_is_said(scene: WebScene) -> None:
    """As a page to people and a problem to programs, with when to come again."""
    scene.letters.is_away = True
    page = await _get(scene, "administrator", "/dead-letters")
    assert (page.status_code, "Kafka does not answer" in page.text) == (503, True)
    assert (await _get(scene, "administrator", "/v1/dead-letters")).status_code == 503


async def test_a_refused_complaint_is_mended_and_submitted_once(scene: WebScene) -> None:
    """What was sent is opened for a reason, and what the intake says against it stands above what was typed."""
    rejected = uuid4()
    body = scene.keyring.seal(b'{"channel": "fax", "description": "gone astray"}', about=rejected)
    await scene.database["rejected"].insert_one(
        {"_id": str(rejected), "at": NOW, "route": "/v1/complaints", "channel": None, "kind": "invalid"}
        | {"reasons": [{"field": "channel", "code": "channel_unknown"}], "body": body.model_dump(), "body_bytes": 41}
    )
    page = (await _get(scene, "auditor", f"/rejected/{rejected}")).text
    assert "<td>fax</td>" in page
    assert "astray" not in page
    assert (await _post(scene, "supervisor", f"/rejected/{rejected}/open")).status_code == 422
    opened = await _post(scene, "supervisor", f"/rejected/{rejected}/open", reason="the caller waits")
    assert "&#34;gone astray&#34;" in opened.text
    wrong = await _post(scene, "supervisor", f"/rejected/{rejected}/replay", body='{"channel": "phone"}')
    assert (wrong.status_code, "No number." in wrong.text) == (422, True)
    done = await _post(scene, "supervisor", f"/rejected/{rejected}/replay", body=f'{{"phone": "{PHONE}"}}')
    assert done.headers["location"] == f"/new?submitted={NEW_ID}"
    assert str(NEW_ID) in (await _get(scene, "auditor", f"/rejected/{rejected}")).text
    assert (await _post(scene, "auditor", f"/rejected/{rejected}/open", reason="x")).status_code == 403


def test_values_are_shown_only_of_fields_that_are_about_nobody() -> None:
    """Whatever they hold."""
    sent = {"waybills": ["A", "B"], "complainant": {"phone": PHONE}, "note": PHONE}
    assert value_at(sent, "waybills.1") == "B"
    assert [value_at(sent, name) for name in ("complainant.phone", "note", "waybills", "waybills.9", "")] == [None] * 5


async def test_failed_messages_are_found_page_by_page(scene: WebScene) -> None:
    """With what to do, and without anything of the addressee."""
    ticket = str(Story().ticket)
    for number in range(60):
        await scene.database["notifications"].insert_one(
            {"_id": str(UUID(int=number)), "ticket_id": ticket, "moment": "answered", "requested_at": NOW}
            | {"state": "failed" if number % 2 else "waiting", "recipient": "digest", "person": {"phone": PHONE}}
            | {"attempts": [{"channel": "sms", "why": "undeliverable"}], "why": ""}
        )
    page = (await _get(scene, "agent", "/deliveries?result=failed&ticket=2611-000017")).text
    assert page.count("call him or her") == 30
    assert "It cannot be delivered" in page
    assert PHONE not in page
    first = (await _get(scene, "agent", "/v1/deliveries?limit=40")).json()
    rest = (await _get(scene, "agent", f"/v1/deliveries?limit=40&before={first['next']}")).json()
    assert len({one["id"] for one in first["deliveries"] + rest["deliveries"]}) == 60
    assert rest["next"] is None
    assert (await _get(scene, "agent", "/v1/deliveries?before=x")).status_code == 422
    assert (await _get(scene, "agent", "/deliveries?result=lost")).status_code == 422


async def test_accounts_show_the_places_that_the_directory_gives(scene: WebScene) -> None:
    """Beside their own: those are the ones in the form, and all of them count."""
    scene.memberships.by_person["agent"] = Membership(departments=("claims",), units=("HUB-77",))
    listed, one = [(await _get(scene, "administrator", path)).text for path in ("/accounts", "/accounts/agent")]
    assert "HUB-77" in listed
    assert "departments claims; units HUB-77" in one
    assert re.search(r'name="units" value=""', one)


async def test_an_account_is_added_changed_and_shut(scene: WebScene) -> None:
    """Its password is shown once and holds; one's own account is shut by nobody."""
    about = {"name": "clerk", "shown_as": "Clerk", "role": "agent", "language": "en", "time_zone": "Asia/Shanghai"}
    wrong = await _post(scene, "administrator", "/accounts", **about | {"time_zone": "Mars", "units": "? NET-1"})
    assert (wrong.status_code, 'id="e-time_zone"' in wrong.text, 'id="e-units"' in wrong.text) == (422, True, True)
    added = await _post(scene, "administrator", "/accounts", **about)
    found = re.search(r"<code>([\w-]+)</code>", added.text)
    assert found
    async with scene.client() as client:
        entered = await client.post("/sign-in", data={"name": "clerk", "password": found[1]})
        assert entered.status_code == 303
        assert found[1] not in (await _get(scene, "administrator", "/accounts/clerk")).text
        await _post(scene, "administrator", "/accounts/clerk", **about | {"role": "supervisor"})
        await _post(scene, "administrator", "/accounts/clerk/disabled", disabled="yes")
        assert (await client.get("/me")).headers["location"].startswith("/sign-in")
    account = await scene.accounts.get("clerk")
    assert account is not None
    assert (account.role, account.disabled) == (StaffRole.SUPERVISOR, True)
    own = await _post(scene, "administrator", "/accounts/administrator/disabled", disabled="yes")
    assert own.status_code == 409
    assert (await _post(scene, "auditor", "/accounts/clerk/password")).status_code == 403


async def test_everybody_sets_zone_and_ends_other_sessions(scene: WebScene) -> None:
    """One or all others; this one goes on."""
    assert (await _post(scene, "agent", "/me", language="en", time_zone="Mars")).status_code == 422
    assert (await _post(scene, "agent", "/me", language="en", time_zone="UTC")).headers["location"] == "/me?done=saved"
    account = await scene.accounts.get("agent")
    assert account is not None
    assert account.time_zone == "UTC"
    (mine,) = await scene.sessions.of("agent")
    for name in ("one", "two", "three"):
        await scene.sessions.begin(
            type(mine)(digest=name * 20, account="agent", made_at=NOW, seen_at=NOW, ends_at=mine.ends_at)
        )
    await _post(scene, "agent", "/me/sessions", session=("one" * 20)[:16])
    assert {one.digest[:3] for one in await scene.sessions.of("agent")} == {mine.digest[:3], "two", "thr"}
    await _post(scene, "agent", "/me/sessions")
    assert await scene.sessions.of("agent") == [mine]


async def test_links_are_taken_back_with_a_reason(scene: WebScene) -> None:
    """The generation rises, and the audit says who and why."""
    assert (await _post(scene, "agent", "/tickets/2611-000017/link")).status_code == 422
    assert (await _post(scene, "agent", "/tickets/2611-000017/link", reason="sent to a neighbour")).status_code == 200
    ticket = Story().ticket
    assert await MongoLinkStore(scene.database).generations([ticket]) == {ticket: 1}
    assert await scene.database["audit"].count_documents({"action": "revoke_link", "ticket": str(ticket)}) == 1


async def test_a_failure_is_a_page_in_the_readers_language_with_a_number(scene: WebScene) -> None:
    """It has the headers of every answer and no trace of what happened inside."""

    async def falls(*_: object, **__: object) -> None:
        raise RuntimeError(PHONE)

    scene.letters.read = falls  # type: ignore[method-assign, assignment]
    page = await _get(scene, "auditor", "/dead-letters")
    assert page.status_code == 500
    assert re.search(r"the number [0-9a-f]{8}", page.text)
    assert PHONE not in page.text
    assert "Traceback" not in page.text
    assert {name: page.headers[name] for name in HEADERS} == dict(HEADERS)
