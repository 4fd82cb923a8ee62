"""What holds of every page: headers, weight, both languages, limits."""

import re

import pytest
from structlog.testing import capture_logs

from schemas import events as e
from schemas.codes import SUBCODES, Language, Moment, TicketState
from services.portal import wording
from services.portal.actions import Act
from services.portal.case import _TOLD
from services.portal.gate import network
from tests.unit.portal.conftest import Running
from tests.unit.portal.tickets import TICKET, life

BYTES_MAX = 50_000


async def _pages(client, running: Running, lang: str) -> dict[str, str]:
    running.tickets.by_id[TICKET] = life(*[(e.TicketAnswered, TicketState.ANSWERED, {})] * 20)
    wrong = await client.post(f"/?lang={lang}", data={"name": "n" * 50})
    return {
        "form": (await client.get(f"/?lang={lang}")).text,
        "form with errors": wrong.text,
        "private": (await client.get(f"/t/{running.token()}?lang={lang}")).text,
        "no ticket": (await client.get(f"/t/x?lang={lang}")).text,
        "nothing": (await client.get(f"/nothing?lang={lang}")).text,
    }


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_a_page_with_all_that_it_loads_is_under_50_kb(client, running: Running, lang):
    """Uncompressed, with style, script and icon, a long trail included."""
    assets = [(await client.get(f"/static/{name}")).content for name in ("portal.css", "portal.js", "icon.svg")]
    for name, page in (await _pages(client, running, lang)).items():
        loaded = set(re.findall(r'(?:src|href)="(/static/[^"]*)"', page))
        assert loaded == {"/static/portal.css", "/static/portal.js", "/static/icon.svg"}
        assert len(page.encode()) + sum(map(len, assets)) < BYTES_MAX, name


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_pages_can_be_read_by_everybody(client, running: Running, lang):
    """A language, one heading, a label for every field, nothing named twice, no style or script in the page."""
    for name, page in (await _pages(client, running, lang)).items():
        assert f'<html lang="{"zh-Hans" if lang == "zh" else "en"}">' in page, name
        assert len(re.findall("<h1", page)) == 1, name
        ids = re.findall(r'\bid="([^"]*)"', page)
        assert len(ids) == len(set(ids)), (name, ids)
        labelled = set(re.findall(r'<label for="([^"]*)"', page))
        typed = re.findall(
            r'<(?:input|textarea|select)\b(?![^>]*type="(?:hidden|radio|checkbox)")[^>]*\sid="([^"]*)"', page
        )
        assert set(typed) <= labelled, name
        assert set(re.findall(r'aria-describedby="([^"]*)"', page)) or name != "form"
        for described in re.findall(r'aria-describedby="([^"]*)"', page):
            assert set(described.split()) <= set(ids), name
        assert not re.search(r"<style|style=|<script(?! src=)|\son\w+=", page), name
        assert not re.search(r"https?://", page), name
        assert "{" not in page, name


async def test_answers_carry_what_browsers_are_to_obey(client, running: Running):
    """Private pages are neither kept, nor indexed, nor named to others; nothing foreign is loaded anywhere."""
    for path in ("/", "/?lang=zh", f"/t/{running.token()}", "/t/x", "/nothing", "/static/portal.css", "/robots.txt"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        if not path.startswith("/static"):
            assert headers["cache-control"] == "no-store"
        if path.startswith("/t/"):
            assert "noindex" in headers["x-robots-tag"]


async def test_an_address_and_a_ticket_may_ask_for_so_much_and_no_more(make_running):
    """More is answered politely with a time to wait; a ticket's limit holds from wherever it is asked."""
    running = make_running(portal_rate_limit="3/hour", portal_ticket_rate_limit="2/hour")
    async with running.client(client=("10.0.0.1", 1)) as one, running.client(client=("10.0.0.2", 1)) as two:
        assert [(await one.get("/")).status_code for _ in range(5)] == [200] * 3 + [429] * 2
        limited = await one.get("/")
        assert int(limited.headers["retry-after"]) > 0
        assert "One moment" in limited.text
        assert (await one.get("/static/portal.css")).status_code == 200
        assert [(await two.get(f"/t/{running.token()}")).status_code for _ in range(3)] == [200, 200, 429]


def test_an_ipv6_household_counts_as_one():
    """Its 2^64 addresses do not multiply the limit."""
    assert network("2001:db8::1") == network("2001:db8::ffff:1") != network("2001:db8:0:1::1")
    assert network("10.0.0.1") == "10.0.0.1"
    assert network("a name") == "a name"


def test_both_languages_say_the_same_things_with_the_same_fields():
    """Every state, step, action, moment and category has words in each."""

    def shape(value):
        if isinstance(value, dict):
            return {name: shape(one) for name, one in value.items()}
        return sorted(set(re.findall(r"\{(\w+)\}", value)))

    books = wording.load()
    assert shape(books[Language.ZH].book) == shape(books[Language.EN].book)
    book = books[Language.EN].book
    assert set(book["state"]) == {state.value for state in TicketState}
    assert set(book["step"]) == {*_TOLD.values(), "words_added"}
    assert set(book["act"]) == {act.value for act in Act}
    assert set(book["moment"]) == {moment.value for moment in Moment}
    codes = {category.value for category in SUBCODES} | {f"{c}.{s}" for c, subs in SUBCODES.items() for s in subs}
    assert codes - set(book["category"]) == {"other", "other.unclear"}


async def test_an_error_of_ours_is_a_polite_page(running: Running):
    """Its cause is nobody's business; a number leads from what a caller reads aloud to the line in the log."""
    running.tickets.by_id = None  # type: ignore[assignment]
    async with running.client(raise_app_exceptions=False) as client:
        with capture_logs() as logged:
            answer = await client.get(f"/t/{running.token()}")
    assert answer.status_code == 500
    assert "on our side" in answer.text
    (line,) = [one for one in logged if one["event"] == "request.failed"]
    assert f"<b>{line['reference']}</b>" in answer.text
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize(("address", "status"), [("10.1.2.3", 200), ("127.0.0.1", 200), ("8.8.8.8", 404)])
async def test_what_is_measured_is_for_our_own_network(running: Running, address, status):
    """Who comes from elsewhere gets the page that says there is nothing, as at any other address."""
    running.app.add_api_route("/metrics", lambda: "counted")
    async with running.client(client=(address, 1)) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == status
    assert ("counted" in answer.text) is (status == 200)


@pytest.mark.parametrize("charset", ["unicode_escape", "punycode", "utf-7", "utf-16", "no-such"])
async def test_a_form_in_a_charset_of_no_browser_is_not_read(client, running: Running, charset):
    """Some make halves of characters, which nothing behind could keep."""
    body = b'--x\r\nContent-Disposition: form-data; name="description"\r\n\r\n\\ud800+2AA-\r\n--x--\r\n'
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = await client.post("/", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500
    assert "<html" in answer.text
