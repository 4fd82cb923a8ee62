"""Many complaints in one request."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

Running = Any  # of conftest.py
NDJSON = {"Content-Type": "application/x-ndjson"}


def line(number: int, **more: Any) -> dict[str, Any]:
    """A good line."""
    return {"complainant": {"phone": f"139{number:08d}"}, "description": f"complaint {number}", **more}


def body(*lines: Any) -> bytes:
    """JSON lines; text stands as it is."""
    return b"\n".join(one.encode() if isinstance(one, str) else json.dumps(one).encode() for one in lines)


async def batch(client: httpx.AsyncClient, content: bytes, **headers: str) -> list[dict[str, Any]]:
    """Answers by line."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.post("/v1/complaints/batch", content=content, headers={**NDJSON, **named})
    assert answer.status_code == 200
    return [json.loads(one) for one in answer.text.splitlines()]


async def test_every_line_has_an_answer_in_its_order(client: httpx.AsyncClient, running: Running) -> None:
    """A broken one costs none of its neighbours, and is kept."""
    answers = await batch(client, body(line(1), "{broken", "", {"description": "nobody"}, line(5)))
    assert [(a["line"], a["status"]) for a in answers] == [
        (1, "accepted"),
        (2, "refused"),
        (4, "refused"),
        (5, "accepted"),
    ]
    assert answers[2]["errors"][0]["code"] == "contact_missing"
    assert {m.channel for m in running.broker.published} == {"file"}
    assert len(running.rejected.kept) == 2


async def test_sending_the_same_again_makes_nothing_twice(client: httpx.AsyncClient, running: Running) -> None:
    """With and without a key; a line that occurs twice in one file is two complaints."""
    content = body(line(1), line(2), line(2), line(3, idempotency_key="own"))
    for headers in ({}, {"idempotency_key": "upload-7"}):
        first = await batch(client, content, **headers)
        again = await batch(client, content, **headers)
        assert first == again
        assert len({a["complaint_id"] for a in first}) == 4
    assert len({m.complaint_id for m in running.broker.published}) == 7


async def test_a_corrected_line_is_taken_when_the_file_is_sent_again(
    client: httpx.AsyncClient, running: Running
) -> None:
    """The others are known."""
    await batch(client, body(line(1), {"description": "nobody"}, line(3)))
    answers = await batch(client, body(line(1), line(2), line(3)))
    assert [a["status"] for a in answers] == ["accepted"] * 3
    assert len(running.broker.published) == 3


async def test_lines_that_cannot_be_taken_now_say_so(client: httpx.AsyncClient, running: Running) -> None:
    """They can be sent again; a refused line stays refused."""
    running.broker.is_away = True
    answers = await batch(client, body(line(1), "{", line(3)))
    assert [a["status"] for a in answers] == ["unavailable", "refused", "unavailable"]
    running.broker.is_away = False
    answers = await batch(client, body(line(1), "{", line(3)))
    assert [a["status"] for a in answers] == ["accepted", "refused", "accepted"]


async def test_answers_come_while_the_rest_is_still_to_be_sent(running: Running) -> None:
    """The first line is answered before the last is there."""
    go_on = asyncio.Event()
    sent: list[dict[str, Any]] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield body(line(1)) + b"\n"
        await go_on.wait()
        yield body(line(2))

    coming = pieces()

    async def receive() -> dict[str, Any]:
        piece = await anext(coming, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if b"accepted" in message.get("body", b""):
            go_on.set()

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/complaints/batch",
        "raw_path": b"/v1/complaints/batch",
        "query_string": b"",
        "headers": [(b"content-type", b"application/x-ndjson")],
        "client": ("10.0.0.1", 1),
        "server": ("intake", 80),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    await asyncio.wait_for(running.app(scope, receive, send), 10)
    assert sum(m.get("body", b"").count(b"accepted") for m in sent) == 2


async def test_csv_is_taken_in_the_character_set_that_it_says(client: httpx.AsyncClient, running: Running) -> None:
    """GB18030, as spreadsheets here write it."""
    content = "手机号,内容\n13800138000,快递太慢\n".encode("gb18030")
    headers = {"Content-Type": "text/csv; charset=GBK"}
    answer = await client.post("/v1/complaints/batch", content=content, headers=headers)
    assert json.loads(answer.text)["status"] == "accepted"
    assert running.broker.published[0].language == "zh"


async def test_a_batch_has_a_last_line(make_running: Callable[..., Running]) -> None:
    """What lies beyond is told and not read."""
    running = make_running(batch_lines_max=3)
    async with running.client() as client:
        content = body(*(line(n) for n in range(1, 4))) + b"\n"
        answer = await client.post(
            "/v1/complaints/batch", content=_in_two(content, body(line(4), line(5))), headers=NDJSON
        )
    told = [json.loads(one) for one in answer.text.splitlines()]
    assert [a["status"] for a in told] == ["accepted"] * 3 + ["refused"]
    assert told[-1]["errors"][0]["code"] == "too_many_lines"


@pytest.mark.parametrize("media", ["application/json", "text/plain", "application/x-ndjson; charset=utf-16"])
async def test_other_types_are_refused(client: httpx.AsyncClient, media: str) -> None:
    """JSON lines and CSV."""
    answer = await client.post("/v1/complaints/batch", content=b"{}", headers={"Content-Type": media})
    assert answer.status_code == 415


async def test_one_mistake_of_ours_does_not_end_the_answer(client: httpx.AsyncClient, running: Running) -> None:
    """The lines of that group may be sent again."""

    async def broken(_messages: object) -> None:
        raise RuntimeError("a mistake")

    running.broker.publish = broken
    answers = await batch(client, body(line(1), "{"))
    assert [a["status"] for a in answers] == ["unavailable", "refused"]


async def _in_two(first: bytes, second: bytes) -> AsyncIterator[bytes]:
    yield first
    yield second


async def test_json_in_another_character_set_is_refused_as_a_whole(client: httpx.AsyncClient) -> None:
    """Not line by line as broken: JSON is UTF-8."""
    said = {"Content-Type": "application/x-ndjson; charset=gb18030"}
    answer = await client.post("/v1/complaints/batch", content='{"text":"慢"}'.encode("gb18030"), headers=said)
    assert answer.status_code == 415


async def test_a_file_that_stops_coming_gives_its_place_free(make_running: Callable[..., Running]) -> None:
    """Complete lines are answered; half a line is nothing."""
    running = make_running(body_s_max=0.05, batches_in_flight_max=1)

    async def stalls() -> AsyncIterator[bytes]:
        yield body(line(1)) + b'\n{"description":'
        await asyncio.Event().wait()

    async with running.client() as client:
        async with asyncio.timeout(10):
            answer = await client.post("/v1/complaints/batch", content=stalls(), headers=NDJSON)
        assert [json.loads(one)["status"] for one in answer.text.splitlines()] == ["accepted"]
        assert len(await batch(client, body(line(2)))) == 1
