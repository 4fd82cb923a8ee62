"""Signing in and out over HTTP, and what an administrator may change."""

import asyncio
from dataclasses import replace

import pytest
from starlette.requests import Request

from schemas.codes import StaffRole
from services.desk.account_store import AccountStore
from services.desk.accounts import Account
from services.desk.doors import allowed
from services.desk.passwords import Passwords
from services.desk.security_headers import HEADERS
from services.desk.sign_in_settings import SignInSettings
from tests.unit.desk.serving import HASHING, PASSWORD, Browser, Desk, browsing, later, served


async def test_whoever_signs_in_is_known_from_then_on(desk: Desk, browser: Browser) -> None:
    """With role, place and rights; the directory says where the person belongs."""
    people = [{"id": "net-1001-desk", "department": "outlets", "unit": "NET-1001"}]
    await desk.database["directory"].insert_one({"_id": 1, "people": people})
    await desk.add("net-1001-desk", StaffRole.OUTLET_STAFF)
    assert (await browser.http.get("/v1/me")).status_code == 401
    assert (await browser.sign_in(" NET-1001-desk ")).status_code == 200
    me = (await browser.http.get("/v1/me")).json()
    assert (me["id"], me["role"], me["units"]) == ("net-1001-desk", "outlet_staff", ["NET-1001"])
    assert me["rights"]["read_ticket"] == "own unit"


async def test_the_cookie_can_be_read_by_no_script_and_is_sent_by_no_other_site(desk: Desk, browser: Browser) -> None:
    """And the database does not hold what the browser holds."""
    await desk.add("clerk", StaffRole.AGENT)
    cookie = (await browser.sign_in("clerk")).headers["set-cookie"]
    assert cookie.startswith("amends=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert browser.http.cookies["amends"] not in str(desk.documents("desk_sessions"))


async def test_behind_https_cookies_are_bound_to_the_host(closed_desk: Desk) -> None:
    """And browsers are told to come by https alone."""
    closed_desk.settings = SignInSettings(desk_url="https://desk.example")
    await closed_desk.add("clerk", StaffRole.AGENT)
    async with served(closed_desk.app()) as url, browsing(url) as browser:
        answer = await browser.sign_in("clerk")
    assert answer.headers["set-cookie"].startswith("__Host-amends=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Path=/" in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"].startswith("max-age=63072000")


@pytest.mark.parametrize(
    ("name", "password"), [("clerk", "wrong password"), ("nobody", PASSWORD), ("gone", PASSWORD), ("\x00", PASSWORD)]
)
async def test_nobody_learns_which_names_there_are(desk: Desk, browser: Browser, name: str, password: str) -> None:
    """The answer is the same for a wrong password, an unknown name and a disabled account."""
    await desk.add("clerk", StaffRole.AGENT)
    await desk.add("gone", StaffRole.AGENT, disabled=True)
    answer = await browser.sign_in(name, password)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:amends:problem:sign-in-failed"
    assert "set-cookie" not in answer.headers
    (refused,) = desk.documents("audit")
    assert (refused["action"], refused["who"]) == ("sign_in_refused", "")


async def test_an_unknown_name_costs_as_much_as_a_wrong_password() -> None:
    """A hash is checked in either case."""
    checked = []

    class Counting(type(HASHING)):  # type: ignore[misc]
        def verify(self, *given: object) -> bool:
            checked.append(given)
            return bool(super().verify(*given))

    passwords = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    assert await passwords.check(PASSWORD, "") == (False, None)
    assert await passwords.check("x" * 5000, "") == (False, None)
    assert len(checked) == 2


async def test_an_old_hash_is_renewed_when_its_owner_comes(desk: Desk, browser: Browser) -> None:
    """With the parameters of today."""
    await desk.add("clerk", StaffRole.AGENT)
    store = AccountStore(desk.database)
    account = await store.get("clerk")
    assert account is not None
    weaker = await Passwords(type(HASHING)(time_cost=2, memory_cost=8, parallelism=1)).hash(PASSWORD)
    await store.change(replace(account, password=weaker), was=account)
    assert (await browser.sign_in("clerk")).status_code == 200
    (renewed,) = desk.documents("accounts")
    assert "t=1" in renewed["password"]


async def test_signing_in_ends_the_session_that_was_there(desk: Desk, browser: Browser) -> None:
    """An id that somebody planted or saw before is worth nothing afterwards."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    old = browser.http.cookies["amends"]
    await browser.sign_in("clerk")
    assert len(desk.documents("desk_sessions")) == 1
    async with browsing(desk.url) as thief:
        thief.http.cookies.set("amends", old)
        assert (await thief.http.get("/v1/me")).status_code == 401


async def test_what_takes_long_ends_with_the_session_and_keeps_none_alive(desk: Desk, browser: Browser) -> None:
    """Signed out, idle for too long, or with another role: whoever listens to changes is asked anew who it is."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    cookie = f"amends={browser.http.cookies['amends']}".encode()
    doors, request = (
        desk.app().state.doors,
        Request(
            {"type": "http", "method": "GET", "scheme": "http", "path": "/v1/live", "headers": [(b"cookie", cookie)]}
        ),
    )
    person = await doors.enter(request)
    (before,) = desk.documents("desk_sessions")
    desk.now += later(minutes=5)
    assert await doors.is_still(person, request)
    assert desk.documents("desk_sessions") == [before]
    assert not await doors.is_still(replace(person, role=StaffRole.SUPERVISOR), request)
    desk.now += later(hours=3)
    assert not await doors.is_still(person, request)
    desk.now -= later(hours=3)
    await browser.ask("DELETE", "/v1/session")
    assert not await doors.is_still(person, request)


async def test_signing_out_ends_it_on_the_server(desk: Desk, browser: Browser) -> None:
    """A copied cookie does not live on."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    held = browser.http.cookies["amends"]
    assert (await browser.ask("DELETE", "/v1/session")).status_code == 204
    browser.http.cookies.set("amends", held)
    assert (await browser.http.get("/v1/me")).status_code == 401


async def test_signing_out_everywhere_ends_all_sessions_of_one_person(desk: Desk, browser: Browser) -> None:
    """And nobody else's."""
    await desk.add("clerk", StaffRole.AGENT)
    await desk.add("other", StaffRole.AGENT)
    await browser.sign_in("clerk")
    async with browsing(desk.url) as at_home, browsing(desk.url) as colleague:
        await at_home.sign_in("clerk")
        await colleague.sign_in("other")
        await at_home.ask("DELETE", "/v1/sessions")
        assert (await browser.http.get("/v1/me")).status_code == 401
        assert (await colleague.http.get("/v1/me")).status_code == 200


async def test_a_session_ends_when_nothing_happens_and_lives_while_something_does(desk: Desk, browser: Browser) -> None:
    """An hour of idling by default; twelve hours at most."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    for _ in range(14):
        desk.now += later(minutes=50)
        assert (await browser.http.get("/v1/me")).status_code == 200
    desk.now += later(minutes=50)
    assert (await browser.http.get("/v1/me")).status_code == 401
    assert desk.documents("desk_sessions") == []
    await browser.sign_in("clerk")
    desk.now += later(minutes=60)
    assert (await browser.http.get("/v1/me")).status_code == 401


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "csrf-refused"),
        ({"X-CSRF-Token": "0" * 64}, "csrf-refused"),
        ({"X-CSRF-Token": "mine", "Origin": "https://evil.example"}, "origin-refused"),
        ({"X-CSRF-Token": "mine", "Origin": "null"}, "origin-refused"),
        ({"X-CSRF-Token": "mine", "Sec-Fetch-Site": "cross-site"}, "origin-refused"),
        ({"X-CSRF-Token": "mine", "Sec-Fetch-Site": "same-site"}, "origin-refused"),
    ],
)
async def test_what_another_site_sends_changes_nothing(
    desk: Desk, browser: Browser, headers: dict[str, str], kind: str
) -> None:
    """Though the browser adds our cookie."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    sent = {name: browser.token if value == "mine" else value for name, value in headers.items()}
    answer = await browser.http.post("/form", data={"note": "x"}, headers=sent)
    assert answer.status_code == 403
    assert answer.json()["type"] == f"urn:amends:problem:{kind}"


async def test_our_own_pages_change_what_they_may(desk: Desk, browser: Browser) -> None:
    """By header or, without scripts, by a field of the form."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    ours = {"Origin": desk.url, "Sec-Fetch-Site": "same-origin"}
    by_field = await browser.http.post("/form", data={"note": "x", "csrf_token": browser.token}, headers=ours)
    by_header = await browser.http.post("/form", data={"note": "x"}, headers=ours | {"X-CSRF-Token": browser.token})
    assert by_field.json() == by_header.json() == "clerk: x"


async def test_a_token_of_another_session_does_not_do(desk: Desk, browser: Browser) -> None:
    """Though it is a colleague's and valid there."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    async with browsing(desk.url) as colleague:
        await colleague.sign_in("clerk")
        colleague.token = browser.token
        assert (await colleague.ask("POST", "/form", data={"note": "x"})).status_code == 403


async def test_nobody_is_signed_in_by_another_site(desk: Desk, browser: Browser) -> None:
    """Or a victim would type complaints into the attacker's account."""
    await desk.add("clerk", StaffRole.AGENT)
    given = {"name": "clerk", "password": PASSWORD}
    answer = await browser.http.post("/v1/session", json=given, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert desk.documents("desk_sessions") == []


async def test_a_role_without_a_right_is_told_which(desk: Desk, browser: Browser) -> None:
    """By RFC 9457, in the language of the browser."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    answer = await browser.http.get("/v1/accounts", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == "zh"
    assert answer.json()["action"] == "read_accounts"


def test_a_dependency_on_an_action_that_is_not_there_fails_at_once() -> None:
    """Not at the first request."""
    with pytest.raises(KeyError):
        allowed("fly")


async def test_guessing_is_slowed_down_for_an_account(desk: Desk, browser: Browser) -> None:
    """Also at once and in parallel; the right password is refused, too, until the window is over."""
    await desk.add("clerk", StaffRole.AGENT)
    answers = await asyncio.gather(*(browser.sign_in("clerk", f"wrong password {n}") for n in range(15)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 5
    refused = await browser.sign_in("clerk")
    assert refused.status_code == 429
    wait_s = int(refused.headers["retry-after"])
    assert 0 < wait_s <= 900
    desk.now += later(seconds=wait_s)
    assert (await browser.sign_in("clerk")).status_code == 200


async def test_guessing_goes_on_being_slow_after_a_restart(desk: Desk, browser: Browser) -> None:
    """The database counts, not the process, and no Redis."""
    await desk.add("clerk", StaffRole.AGENT)
    for n in range(10):
        await browser.sign_in("clerk", f"wrong password {n}")
    async with served(desk.app()) as url, browsing(url) as elsewhere:
        assert (await elsewhere.sign_in("clerk")).status_code == 429


async def test_guessing_is_slowed_down_for_an_address(closed_desk: Desk) -> None:
    """Whatever names are tried."""
    closed_desk.settings = SignInSettings(sign_in_tries_of_address=5)
    await closed_desk.add("clerk", StaffRole.AGENT)
    async with served(closed_desk.app()) as url, browsing(url) as browser:
        for n in range(5):
            assert (await browser.sign_in(f"name-{n}")).status_code == 401
        assert (await browser.sign_in("clerk")).status_code == 429


async def test_what_was_typed_as_a_name_is_kept_nowhere(desk: Desk, browser: Browser) -> None:
    """People type their password there."""
    await browser.sign_in("my secret password", "")
    assert "my secret password" not in str(desk.store.snapshot())


async def test_whoever_came_in_may_mistype_again(desk: Desk, browser: Browser) -> None:
    """The failures before are forgotten."""
    await desk.add("clerk", StaffRole.AGENT)
    for _ in range(3):
        for n in range(9):
            await browser.sign_in("clerk", f"wrong password {n}")
        assert (await browser.sign_in("clerk")).status_code == 200


async def test_every_answer_carries_the_headers_of_safety(desk: Desk, browser: Browser) -> None:
    """Refusals, too."""
    for path in ("/v1/me", "/nowhere", "/v1/sign-in"):
        answer = await browser.http.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    assert "unsafe-inline" not in HEADERS["Content-Security-Policy"]
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/v1/me", 405)])
async def test_what_is_not_there_is_a_problem_too(browser: Browser, method: str, path: str, status: int) -> None:
    """By RFC 9457."""
    answer = await browser.http.request(method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_administrator_adds_changes_and_disables(desk: Desk, browser: Browser) -> None:
    """What is changed holds at the next request of whom it is about, and is in the audit."""
    await desk.add("root", StaffRole.ADMINISTRATOR)
    await browser.sign_in("root")
    wanted = {"name": "clerk", "role": "agent", "password": PASSWORD}
    added = await browser.ask("POST", "/v1/accounts", json=wanted)
    assert added.status_code == 201
    assert PASSWORD not in added.text
    assert (await browser.ask("POST", "/v1/accounts", json=wanted)).status_code == 409
    async with browsing(desk.url) as theirs:
        await theirs.sign_in("clerk")
        assert (await theirs.http.get("/v1/audit")).status_code == 403
        await browser.ask("PATCH", "/v1/accounts/clerk", json={"role": "auditor", "units": ["HUB-01"]})
        assert (await theirs.http.get("/v1/me")).json()["units"] == ["HUB-01"]
        assert (await theirs.http.get("/v1/audit")).status_code == 200
        await browser.ask("PATCH", "/v1/accounts/clerk", json={"disabled": True})
        assert (await theirs.http.get("/v1/me")).status_code == 401
        assert (await theirs.sign_in("clerk")).status_code == 401
    told = [(one["about"], one["fields"]) for one in desk.documents("audit") if one["action"] == "manage_accounts"]
    assert ("change clerk", ["role", "units"]) in told
    assert ("change clerk", ["disabled"]) in told


async def test_two_administrators_do_not_shut_out_each_other(
    desk: Desk, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks afterwards and finds none left takes back what he did."""
    for name in ("one", "two"):
        await desk.add(name, StaffRole.ADMINISTRATOR)
    await browser.sign_in("one")
    change = AccountStore.change

    async def at_once(store: AccountStore, account: Account, *, was: Account) -> bool:
        one = await store.get("one")
        assert one is not None
        await change(store, replace(one, disabled=True), was=one)
        return await change(store, account, was=was)

    monkeypatch.setattr(AccountStore, "change", at_once)
    answer = await browser.ask("PATCH", "/v1/accounts/two", json={"role": "agent"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:amends:problem:last-administrator")
    two = await AccountStore(desk.database).get("two")
    assert two is not None
    assert two.role is StaffRole.ADMINISTRATOR


async def test_everything_wrong_with_an_account_is_answered_at_once(desk: Desk, browser: Browser) -> None:
    """With field and value, but never a password."""
    await desk.add("root", StaffRole.ADMINISTRATOR)
    await browser.sign_in("root")
    answer = await browser.ask("POST", "/v1/accounts", json={"name": "A", "role": "king", "password": "short"})
    assert answer.status_code == 422
    assert {(one["field"], one["value"]) for one in answer.json()["errors"]} == {
        ("name", "A"),
        ("role", "king"),
        ("password", None),
    }
    odd = await browser.ask("POST", "/v1/accounts", json={"name": 7, "password": ["topsecret"], "king": 1})
    assert odd.status_code == 422
    assert {one["field"] for one in odd.json()["errors"]} == {"name", "role", "password", "king"}
    assert "topsecret" not in odd.text


async def test_nobody_locks_himself_out(desk: Desk, browser: Browser) -> None:
    """Or there might be no administrator left."""
    await desk.add("root", StaffRole.ADMINISTRATOR)
    await browser.sign_in("root")
    for change in ({"disabled": True}, {"role": "agent"}):
        answer = await browser.ask("PATCH", "/v1/accounts/root", json=change)
        assert answer.status_code == 409


async def test_a_new_password_ends_the_other_sessions(desk: Desk, browser: Browser) -> None:
    """Whoever knew the old one is out; the old one must be told."""
    await desk.add("clerk", StaffRole.AGENT)
    await browser.sign_in("clerk")
    async with browsing(desk.url) as thief:
        await thief.sign_in("clerk")
        wrong = {"old": "wrong password", "password": "short"}
        refused = await browser.ask("POST", "/v1/me/password", json=wrong)
        assert [one["code"] for one in refused.json()["errors"]] == [
            "password_wrong",
            "password_length",
        ]
        fresh = "another horse battery"
        changed = await browser.ask("POST", "/v1/me/password", json={"old": PASSWORD, "password": fresh})
        assert changed.status_code == 204
        assert (await browser.http.get("/v1/me")).status_code == 200
        assert (await thief.http.get("/v1/me")).status_code == 401
        assert (await thief.sign_in("clerk", fresh)).status_code == 200


async def test_the_audit_is_read_page_by_page(desk: Desk, browser: Browser) -> None:
    """The latest first, by filter; reading it is in it, too."""
    await desk.add("eye", StaffRole.AUDITOR)
    await desk.add("clerk", StaffRole.AGENT)
    for _ in range(5):
        desk.now += later(seconds=1)
        async with browsing(desk.url) as theirs:
            await theirs.sign_in("clerk")
    desk.now += later(seconds=1)
    await browser.sign_in("eye")
    first = (await browser.http.get("/v1/audit", params={"account": "clerk", "limit": 3})).json()
    rest = (await browser.http.get("/v1/audit", params={"account": "clerk", "before": first["next"]})).json()
    assert [len(first["entries"]), len(rest["entries"]), rest["next"]] == [3, 2, None]
    times = [one["at"] for one in first["entries"] + rest["entries"]]
    assert times == sorted(times, reverse=True)
    since = first["entries"][0]["at"]
    late = (await browser.http.get("/v1/audit", params={"action": "sign_in", "since": since})).json()
    assert [one["who"] for one in late["entries"]] == ["eye", "clerk"]
    assert (await browser.http.get("/v1/audit", params={"since": "yesterday"})).status_code == 422
