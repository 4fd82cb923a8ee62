"""The public form, as a browser without JavaScript meets it."""

import re
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from schemas.codes import Clock
from services.portal.uploads import Unavailable
from tests.unit.portal.conftest import NOW, Running
from tests.unit.portal.tickets import hidden

PNG = b"\x89PNG\r\n\x1a\n picture"
GOOD = {"description": "It is broken.", "phone": "13800138000"}


async def _form(client: httpx.AsyncClient) -> str:
    return hidden((await client.get("/")).text, "form")


async def test_a_complaint_is_handed_to_the_intake_and_its_number_shown(client, running: Running):
    """What is typed arrives, files with it, and the page that follows tells the number and what comes next."""
    form = await _form(client)
    typed = {
        **GOOD,
        "form": form,
        "waybills": "sf1，sf2  sf3",
        "remedy": "a refund",
        "email": "",
        "time_zone": "Mars/X",
    }
    files = [("files", ("a.png", PNG)), ("files", ("b.png", PNG + b"2")), ("files", ("", b""))]
    answer = await client.post("/?lang=en", data=typed, files=files)
    assert answer.status_code == 303
    (body,) = running.intake.taken.values()
    assert body["waybills"] == ["sf1", "sf2", "sf3"]
    assert body["complainant"] == {"phone": "13800138000"}
    assert [running.intake.evidence[UUID(one)] for one in body["evidence"]] == [PNG, PNG + b"2"]
    running.tickets.clocks = {Clock.FIRST_ANSWER: NOW}
    page = await client.get(answer.headers["location"])
    assert "2611-004217" in page.text
    assert "We look into it." in page.text
    assert "refresh" not in page.text


async def test_two_clicks_are_one_complaint_and_other_words_another(client, running: Running):
    """Files included: they are uploaded twice and are the same evidence."""
    form = await _form(client)
    sent = [
        await client.post("/", data={**GOOD, "form": form}, files=[("files", ("a.png", PNG))], params={"lang": "en"})
        for _ in range(2)
    ]
    assert sent[0].headers["location"] == sent[1].headers["location"]
    other = await client.post("/", data={**GOOD, "form": form, "description": "And wet."})
    assert other.headers["location"] != sent[0].headers["location"]
    assert len(running.intake.taken) == 2


async def test_every_error_is_told_at_once_beside_its_field_and_what_was_typed_stays(client, running: Running):
    """Errors of files and of the complaint together; good files need not be chosen again."""
    form = await _form(client)
    files = [("files", ("good.png", PNG)), ("files", ("<bad>.exe", b"MZ")), ("files", ("empty.png", b""))]
    answer = await client.post("/", data={"form": form, "name": '<b>"N"', "remedy": "R&D"}, files=files)
    assert answer.status_code == 422
    page = answer.text
    for name, text in {
        "description": "This is missing. Write it.",
        "phone": "No way to reach you. Give one.",
        "files": "&lt;bad&gt;.exe: Files of this kind are not taken.",
    }.items():
        assert f'<p class="wrong" id="wrong-{name}">{text}</p>' in page
        assert re.search(rf'id="{name}"[^>]* aria-describedby="[^"]*wrong-{name}[^"]*" aria-invalid="true"', page), name
        assert re.search(rf'<a href="#{name}">[^<]+: {re.escape(text)}</a>', page), name
    assert "empty.png: the file is empty" in page
    assert 'value="&lt;b&gt;&#34;N&#34;"' in page
    assert ">R&amp;D</textarea>" in page
    assert running.intake.taken == {}
    kept = hidden(page, "kept")
    assert kept.endswith(":good.png")
    again = await client.post("/", data={**GOOD, "form": hidden(page, "form"), "kept": kept})
    assert again.status_code == 303
    assert len(next(iter(running.intake.taken.values()))["evidence"]) == 1


@pytest.mark.parametrize(("count", "size"), [(11, 10), (1, 1_048_577)])
async def test_too_many_or_too_big_files_are_told_without_sending_them(make_running, count, size):
    """Nothing is uploaded that the intake would refuse for its number or size."""
    running = make_running(upload_bytes_max=1_048_576)
    async with running.client() as client:
        files = [("files", (f"{n}.png", PNG.ljust(size, b" "))) for n in range(count)]
        answer = await client.post("/", data=GOOD, files=files)
    assert answer.status_code == 422
    assert "There are more than 10 files." in answer.text or "bigger than 1 MB" in answer.text
    assert running.intake.evidence == {}
    assert ">It is broken.</textarea>" in answer.text


async def test_a_full_intake_becomes_a_page_that_keeps_everything(client, running: Running):
    """It says how long to wait, and the same form sent again is the same complaint."""
    form = await _form(client)
    running.intake.away = Unavailable(7)
    answer = await client.post("/", data={**GOOD, "form": form}, files=[("files", ("a.png", PNG))])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "wait 7 seconds" in answer.text
    assert ">It is broken.</textarea>" in answer.text
    assert hidden(answer.text, "form") == form
    running.intake.away = None
    assert (await client.post("/", data={**GOOD, "form": form})).status_code == 303


async def test_the_number_is_waited_for_and_not_made_up(client, running: Running):
    """The page looks again by itself, some twenty times; a complaint that nobody knows has no page."""
    running.intake.number = None
    sent = await client.post("/", data=GOOD)
    page = await client.get(sent.headers["location"])
    assert 'http-equiv="refresh"' in page.text
    assert "2611" not in page.text
    last = await client.get(sent.headers["location"], params={"n": "20"})
    assert 'http-equiv="refresh"' not in last.text
    assert (await client.get("/sent/00000000-0000-0000-0000-0000000000ff")).status_code == 404
    assert (await client.get("/sent/nothing")).status_code == 404


async def test_the_language_is_the_browsers_until_somebody_chooses(client):
    """The choice is remembered by a cookie that no script reads."""
    assert "Make a complaint" in (await client.get("/", headers={"Accept-Language": "de, en;q=0.5"})).text
    assert "我要投诉" in (await client.get("/", headers={"Accept-Language": "zh-CN"})).text
    chosen = await client.get("/?lang=zh")
    assert "HttpOnly" in chosen.headers["set-cookie"]
    assert "我要投诉" in (await client.get("/", headers={"Accept-Language": "en"})).text


async def test_a_form_that_is_too_big_or_broken_is_answered_politely(make_running):
    """Bytes that do not end, or are no form, cost a page and nothing else."""
    running = make_running(upload_bytes_max=1024, upload_files_max=1)
    async with running.client() as client:
        big = await client.post("/", data=GOOD, files=[("files", ("a.png", b"x" * 2_000_000))])
        broken = await client.post("/", content=b"--x", headers={"Content-Type": "multipart/form-data"})
    assert (big.status_code, broken.status_code) == (413, 413)
    assert "too big" in big.text


async def test_the_receipt_says_what_comes_next_and_by_when(client, running: Running):
    """In the zone of whoever complained, as soon as a clock runs; without one, or without the database, the number."""
    sent = await client.post("/", data=GOOD)
    page = (await client.get(sent.headers["location"])).text
    assert "2611-004217" in page
    assert "We are working on it." in page
    assert 'http-equiv="refresh"' in page
    assert 'http-equiv="refresh"' not in (await client.get(sent.headers["location"] + "&n=2")).text
    running.tickets.clocks = {Clock.FIRST_ANSWER: NOW + timedelta(days=1)}
    page = (await client.get(sent.headers["location"])).text
    assert "We answer you by Monday 23 November, 10:00." in page
    assert "Times are those of China Standard Time." in page
    assert 'http-equiv="refresh"' not in page
    running.tickets.away = Unavailable(3)
    page = (await client.get(sent.headers["location"])).text
    assert "2611-004217" in page
    assert "We answer you by" not in page
