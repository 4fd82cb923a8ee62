"""Signing in by OpenID Connect, at a provider that is served and signs."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from schemas.codes import StaffRole
from services.desk.sign_in_settings import SignInSettings
from services.runtime.settings import Secret
from tests.unit.desk.provider import FORGED, KEYS, Provider
from tests.unit.desk.serving import NOON, Browser, Desk, browsing, later, served


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A provider that is served."""
    made = Provider(now_s=int(NOON.timestamp()))
    async with served(made.app()) as url:
        made.issuer = url
        yield made


@pytest.fixture
async def desk(closed_desk: Desk, provider: Provider) -> AsyncIterator[Desk]:
    """A desk that trusts it."""
    closed_desk.settings = SignInSettings(
        oidc_issuer=provider.issuer,
        oidc_client_id=provider.client_id,
        oidc_client_secret=Secret(provider.client_secret),
    )
    async with served(closed_desk.app()) as url:
        closed_desk.url = url
        yield closed_desk


async def go(browser: Browser, path: str = "/v1/sign-in/oidc?next=/tickets") -> httpx.Response:
    """Follow the way to the provider and back; gives the answer of our callback."""
    to_provider = await browser.http.get(path)
    assert to_provider.status_code == 303
    back = await browser.http.get(to_provider.headers["location"])
    return await browser.http.get(back.headers["location"])


def kind(answer: httpx.Response) -> str:
    """Of a refusal."""
    return str(answer.json()["type"].rpartition(":")[2])


async def test_whoever_the_provider_knows_comes_in(desk: Desk, provider: Provider, browser: Browser) -> None:
    """As the claims say, back to the page that was wanted; with PKCE, state and nonce."""
    answer = await go(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/tickets")
    me = (await browser.http.get("/v1/me")).json()
    assert (me["id"], me["name"], me["role"]) == ("clerk-7", "七号", "agent")
    (asked,) = provider.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert asked["redirect_uri"] == f"{desk.url}/v1/sign-in/oidc/callback"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert desk.documents("desk_sign_ins") == []
    assert "amends-sign-in" not in browser.http.cookies


async def test_a_changed_role_holds_from_the_next_sign_in(desk: Desk, provider: Provider, browser: Browser) -> None:
    """The provider's word replaces the old one."""
    await go(browser)
    provider.claims = {"roles": ["supervisor"], "units": ["HUB-01"]}
    await go(browser)
    me = (await browser.http.get("/v1/me")).json()
    assert (me["role"], me["units"]) == ("supervisor", ["HUB-01"])
    assert len(desk.documents("accounts")) == 1


async def test_who_is_disabled_here_stays_out(desk: Desk, provider: Provider, browser: Browser) -> None:
    """Whatever the provider says; and there is no password to guess."""
    await go(browser)
    await desk.database["accounts"].update_one({"_id": "clerk-7"}, {"$set": {"disabled": True}})
    assert (await browser.http.get("/v1/me")).status_code == 401
    assert kind(await go(browser)) == "account-disabled"
    assert (await browser.sign_in("clerk-7", "")).status_code == 401


async def test_who_has_no_role_here_is_told_so_on_a_page(provider: Provider, browser: Browser) -> None:
    """A browser shows it in words, without scripts or styles, and nothing of the claims is taken for markup."""
    provider.claims = {"roles": ["<script>cook</script>"]}
    browser.http.headers["accept"] = "text/html"
    answer = await go(browser)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "You have no role at this desk" in answer.text
    assert "<script" not in answer.text


async def test_nobody_takes_over_a_local_account_by_its_name(desk: Desk, browser: Browser) -> None:
    """What one is called at the provider is not who one is here."""
    await desk.add("clerk-7", StaffRole.ADMINISTRATOR)
    assert kind(await go(browser)) == "account-of-another"
    assert desk.documents("desk_sessions") == []


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": "another-client", "azp": "desk"},
        {"aud": ["desk", "other"], "azp": "other"},
        {"aud": None},
        {"exp": int(NOON.timestamp()) - 61},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"nonce": "replayed"},
        {"nonce": None},
        {"nbf": int(NOON.timestamp()) + 120},
        {"at_hash": "bm90IGl0"},
    ],
)
async def test_a_token_that_is_not_for_us_now_is_refused(
    desk: Desk, provider: Provider, browser: Browser, claims: dict[str, Any]
) -> None:
    """Issuer, audience, time and nonce are looked at; nobody is in afterwards."""
    provider.claims = claims
    answer = await go(browser)
    assert (answer.status_code, kind(answer)) == (403, "proof-refused")
    assert desk.documents("desk_sessions") == []


async def test_a_clock_that_is_a_little_off_does_no_harm(provider: Provider, browser: Browser) -> None:
    """A minute by default."""
    provider.claims = {"exp": provider.now_s - 50, "iat": provider.now_s + 50}
    assert (await go(browser)).status_code == 303


async def test_a_key_that_is_not_published_signs_nothing(provider: Provider, browser: Browser) -> None:
    """Whatever the token says its name is."""
    provider.published = [FORGED]
    assert kind(await go(browser)) == "proof-refused"


async def test_a_new_key_is_asked_for(provider: Provider, browser: Browser) -> None:
    """Providers change keys without telling."""
    await go(browser)
    provider.key = KEYS["two"]
    assert (await go(browser)).status_code == 303


async def test_only_trusted_algorithms_count(closed_desk: Desk, provider: Provider) -> None:
    """Not those that the provider's own description names."""
    closed_desk.settings = SignInSettings(
        oidc_issuer=provider.issuer,
        oidc_client_id=provider.client_id,
        oidc_client_secret=Secret(provider.client_secret),
        oidc_algorithms=("ES256",),
    )
    async with served(closed_desk.app()) as url, browsing(url) as browser:
        assert kind(await go(browser)) == "proof-refused"


async def test_a_description_of_another_issuer_is_not_believed(provider: Provider, browser: Browser) -> None:
    """Or its keys would sign for ours."""
    provider.metadata = {"issuer": "https://evil.example"}
    answer = await browser.http.get("/v1/sign-in/oidc")
    assert kind(answer) == "proof-refused"


async def test_an_answer_is_good_once_and_in_the_browser_that_asked(
    desk: Desk, provider: Provider, browser: Browser
) -> None:
    """A link to the callback signs nobody else in, and cannot be used again."""
    to_provider = await browser.http.get("/v1/sign-in/oidc")
    back = (await browser.http.get(to_provider.headers["location"])).headers["location"]
    async with browsing(desk.url) as victim:
        assert kind(await victim.http.get(back)) == "proof-refused"
    assert (await browser.http.get(back)).status_code == 303
    browser.http.cookies.set("amends-sign-in", dict(httpx.URL(back).params)["state"])
    assert kind(await browser.http.get(back)) == "proof-refused"


async def test_an_answer_that_comes_too_late_is_refused(desk: Desk, provider: Provider, browser: Browser) -> None:
    """After ten minutes one begins again."""
    to_provider = await browser.http.get("/v1/sign-in/oidc")
    back = (await browser.http.get(to_provider.headers["location"])).headers["location"]
    desk.now += later(minutes=10)
    assert kind(await browser.http.get(back)) == "proof-refused"


async def test_what_the_provider_refuses_is_told(provider: Provider, browser: Browser) -> None:
    """By its code; anything else in the address is not repeated."""
    provider.denies = "access_denied"
    assert "access_denied" in (await go(browser)).json()["detail"]
    provider.denies = "<b>call 555</b>"
    assert "555" not in (await go(browser)).text


async def test_a_provider_that_is_away_is_told(closed_desk: Desk) -> None:
    """With when to try again."""
    closed_desk.settings = SignInSettings(oidc_issuer="http://127.0.0.1:9", oidc_client_id="desk")
    async with served(closed_desk.app()) as url, browsing(url) as browser:
        answer = await browser.http.get("/v1/sign-in/oidc")
    assert (answer.status_code, kind(answer)) == (503, "provider-away")
    assert answer.headers["retry-after"]


async def test_nobody_is_sent_elsewhere_afterwards(provider: Provider, browser: Browser) -> None:
    """A link to our sign-in page leads to a page of ours."""
    answer = await go(browser, "/v1/sign-in/oidc?next=//evil.example/x")
    assert answer.headers["location"] == "/"
    assert urlsplit(provider.asked[0]["redirect_uri"]).path == "/v1/sign-in/oidc/callback"


def test_settings_that_let_nobody_or_everybody_in_stop_the_start() -> None:
    """An algorithm without a public key could be signed by us, too."""
    for wrong in (
        {"oidc_issuer": "https://id.example"},
        {"local_accounts": False},
        {"oidc_algorithms": ("none",)},
        {"oidc_algorithms": ("HS256",)},
    ):
        with pytest.raises(ValueError, match="1 validation error"):
            SignInSettings(**wrong)  # type: ignore[arg-type]
