"""How much of a request the desk reads."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request

from services.desk.bounded import STRANGER_BYTES_MAX, Bounded
from services.desk.refusal_http import handle_refusals
from services.runtime.http import read_form

BYTES_MAX, FILES_BYTES_MAX = 100_000, 200_000
READ: list[int] = []


class Note(BaseModel):
    """A body."""

    text: str


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A desk of two routes."""
    app = FastAPI()

    @app.post("/form")
    async def form(request: Request) -> int:
        return len(await read_form(request))

    @app.post("/note")
    async def note(note: Note) -> int:
        return len(note.text)

    handle_refusals(app)
    app.add_middleware(Bounded, bytes_max=BYTES_MAX, files_bytes_max=FILES_BYTES_MAX)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        yield client


async def pieces(count: int) -> AsyncIterator[bytes]:
    """A body whose length nobody announces."""
    READ.clear()
    for n in range(count):
        READ.append(n)
        yield b"x" * 1_000


@pytest.mark.parametrize(
    ("cookies", "path", "kind", "bytes_max"),
    [
        ({}, "/form", "application/x-www-form-urlencoded", STRANGER_BYTES_MAX),
        ({}, "/note", "application/json", STRANGER_BYTES_MAX),
        ({"amends": "x"}, "/note", "application/json", BYTES_MAX),
    ],
)
async def test_nobody_sends_bodies_without_end(
    http: httpx.AsyncClient, cookies: dict[str, str], path: str, kind: str, bytes_max: int
) -> None:
    """One that is announced too long is not read, and of one that is not announced no more than what is allowed."""
    http.cookies.update(cookies)
    http.headers["Content-Type"] = kind
    announced = await http.post(path, content=b"x" * (bytes_max + 1))
    endless = await http.post(path, content=pieces(1_000))
    for answer in (announced, endless):
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        told = answer.json()
        assert (told["type"], told["status"]) == ("urn:amends:problem:too-large", 413)
    assert len(READ) <= bytes_max // 1_000 + 2


async def test_what_is_within_bounds_is_read(http: httpx.AsyncClient) -> None:
    """Files of who is signed in, and what a stranger needs to sign in."""
    assert (await http.post("/form", data={"name": "x", "password": "y"})).json() == 2
    http.cookies.set("amends", "x")
    assert (await http.post("/form", files={"file": b"x" * (BYTES_MAX + 10_000)})).json() == 1
    assert (await http.post("/form", files={"file": b"x" * FILES_BYTES_MAX})).status_code == 413
    assert (await http.post("/note", json={"text": "x" * 90_000})).json() == 90_000


async def test_what_cannot_be_read_is_told_as_that(http: httpx.AsyncClient) -> None:
    """And not as a failure of ours."""
    broken = await http.post("/form", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary="})
    assert (broken.status_code, broken.json()["status"], broken.json()["type"]) == (
        400,
        400,
        "urn:amends:problem:unreadable",
    )


@pytest.mark.parametrize("charset", ["unicode_escape", "punycode", "utf-7", "no-such", "\xff"])
async def test_a_charset_of_no_browser_cannot_be_read(http: httpx.AsyncClient, charset: str) -> None:
    """Some make halves of characters, which nothing behind could keep."""
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\\ud800+2AA-\r\n--x--\r\n'
    kind = f"multipart/form-data; boundary=x; charset={charset}".encode("latin-1")
    refused = await http.post("/form", content=body, headers={b"Content-Type": kind})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:amends:problem:unreadable")
