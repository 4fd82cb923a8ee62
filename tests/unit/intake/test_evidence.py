"""Files of evidence are told by their content."""

import base64
import hashlib
import struct
import zipfile
import zlib
from io import BytesIO
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.intake.evidence import PIXELS_MAX, inspect, pixels

Running = Any  # of conftest.py


def png(width: int = 2, height: int = 2) -> bytes:
    """A picture; only its heading tells the size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    heading = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0\1\2" * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", heading) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def archive() -> bytes:
    """A zip bomb in small."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros", b"\0" * 1_000_000)
    return packed.getvalue()


def jpeg(width: int, height: int) -> bytes:
    """The heading of one."""
    return b"\xff\xd8\xff\xe0\x00\x04\0\0" + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + b"\0" * 20


PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


def codes(content: bytes, *, declared: str = "", bytes_max: int = 10_000_000) -> list[str]:
    """What is wrong with a file."""
    return [one.code for one in inspect(content, declared=declared, bytes_max=bytes_max)[1]]


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        (png(), "image/png", []),
        (png(), "application/octet-stream", []),
        (PDF, "application/pdf", []),
        (png(), "image/jpeg", ["file_type_differs"]),
        (archive(), "application/zip", ["file_type_unknown"]),
        (archive(), "image/png", ["file_type_unknown"]),
        (b"plain words", "text/plain", ["file_type_unknown"]),
        (b"", "image/png", ["file_empty"]),
        (png() + archive(), "image/png", ["file_two_in_one"]),
        (PDF + archive(), "application/pdf", ["file_two_in_one"]),
        (png()[:33] + PDF, "image/png", ["file_two_in_one"]),
        (png() + b"<script >alert(1)</script>", "image/png", ["file_two_in_one"]),
        (png(20_000, 20_000), "image/png", ["picture_too_big"]),
        (jpeg(60_000, 60_000), "image/jpeg", ["picture_too_big"]),
        (b"GIF89a\xff\xff\xff\xff" + b"\0" * 20, "image/gif", ["picture_too_big"]),
    ],
)
def test_what_a_file_is_decides_whether_it_is_kept(content: bytes, declared: str, expected: list[str]) -> None:
    """Pictures, recordings and PDF; no archives, no two formats in one, nothing that unpacks to gigabytes."""
    assert codes(content, declared=declared) == expected


def test_a_file_may_be_as_long_as_the_limit() -> None:
    """And not a byte longer."""
    assert codes(png(), bytes_max=len(png())) == []
    assert codes(png(), bytes_max=len(png()) - 1) == ["file_too_big"]


def test_the_size_of_a_picture_is_read_from_its_heading() -> None:
    """Without unpacking it."""
    assert pixels(png(10_000, 10_000), "image/png") == PIXELS_MAX
    assert pixels(jpeg(640, 480), "image/jpeg") == 640 * 480
    assert pixels(b"\xff\xd8\xff", "image/jpeg") == 0


def test_a_photo_whose_size_is_hidden_behind_countless_segments_is_refused() -> None:
    """Walking through them would hold everybody else up."""
    content = b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(9) + b"\xff\x01\x00\x02" * 10_000
    _, problems = inspect(content, declared="", bytes_max=10**6)
    assert [problem.code for problem in problems] == ["picture_too_big"]


async def test_an_uploaded_file_can_be_named_in_a_complaint(client: httpx.AsyncClient, running: Running) -> None:
    """Its id and checksum come back."""
    answer = await client.post("/v1/evidence", content=png(), headers={"Content-Type": "image/png"})
    told = answer.json()
    assert answer.status_code == 201
    assert (told["type"], told["size"], told["sha256"]) == (
        "image/png",
        len(png()),
        hashlib.sha256(png()).hexdigest(),
    )
    complaint = {"complainant": {"phone": "13800138000"}, "description": "Broken", "evidence": [told["id"]]}
    assert (await client.post("/v1/complaints", json=complaint)).status_code == 202
    assert [str(one) for one in running.broker.published[0].evidence] == [told["id"]]
    first = dict(running.evidence.owners)
    assert list(map(str, first)) == [told["id"]]
    assert (await client.post("/v1/complaints", json=complaint)).status_code == 202
    assert running.evidence.owners == first


async def test_a_file_is_of_the_complaint_that_was_accepted(client: httpx.AsyncClient, running: Running) -> None:
    """What was answered 503 comes again under another id, and that one has the file."""
    told = (await client.post("/v1/evidence", content=png(), headers={"Content-Type": "image/png"})).json()
    complaint = {"complainant": {"phone": "13800138000"}, "description": "Broken", "evidence": [told["id"]]}
    running.broker.is_away = True
    assert (await client.post("/v1/complaints", json=complaint)).status_code == 503
    assert running.evidence.owners == {}
    running.broker.is_away = False
    accepted = await client.post("/v1/complaints", json=complaint)
    assert running.evidence.owners == {UUID(told["id"]): UUID(accepted.json()["complaint_id"])}


async def test_several_files_go_into_one_upload(client: httpx.AsyncClient) -> None:
    """As a form; one that is wrong refuses all, and says which."""
    files = [("file", ("a.png", png(), "image/png")), ("file", ("b.pdf", PDF, "application/pdf"))]
    answer = await client.post("/v1/evidence", files=files)
    assert [one["type"] for one in answer.json()["evidence"]] == ["image/png", "application/pdf"]
    answer = await client.post("/v1/evidence", files=[*files, ("file", ("c.zip", archive(), "application/zip"))])
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("file.2", "file_type_unknown")]


@pytest.mark.parametrize("as_header", [True, False])
async def test_a_checksum_is_compared_when_it_is_given(client: httpx.AsyncClient, *, as_header: bool) -> None:
    """A file that was damaged on the way is refused."""
    for content, status in ((png(), 201), (png(3, 3), 422)):
        digest = hashlib.sha256(png()).digest()
        headers = {"Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:"} if as_header else {}
        query = {} if as_header else {"sha256": digest.hex()}
        answer = await client.post("/v1/evidence", content=content, headers=headers, params=query)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b"", "multipart/form-data"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"nothing", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
async def test_a_broken_form_is_refused(client: httpx.AsyncClient, content: bytes, media: str) -> None:
    """In words, never with 500."""
    answer = await client.post("/v1/evidence", content=content, headers={"Content-Type": media})
    assert answer.status_code == 422


async def test_a_form_has_a_greatest_number_of_files(client: httpx.AsyncClient) -> None:
    """Told as such."""
    files = [("file", ("a.png", png(), "image/png"))] * 11
    answer = await client.post("/v1/evidence", files=files)
    assert answer.json()["errors"][0]["code"] == "too_many_files"
