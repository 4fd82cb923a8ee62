"""Complaints posted one by one at a pace that does not wait for answers, as many customers do."""

import asyncio
import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from services.cli.bench import chain
from services.cli.bench.chain import TEXTS, Complaint

IN_FLIGHT_MAX = 2_000
"""Twice what one intake works on at once. What is due while so many wait for an answer is not sent, and counted."""
ANSWER_S_MAX = 30.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """What came of one."""

    sent_s: float
    """`time.monotonic`."""
    took_ms: float
    status: int
    """0 when none came within `ANSWER_S_MAX`, or the connection broke."""
    may_retry: bool
    """Whether it says when to try again."""
    complaint_id: str


@dataclass(slots=True)
class Poured:
    """What came of all."""

    answers: list[Answer] = field(default_factory=list)
    unsent: int = 0

    @property
    def accepted(self) -> set[str]:
        """Complaint ids of those answered 202."""
        return {answer.complaint_id for answer in self.answers if answer.status == 202}

    def took(self) -> Iterator[tuple[float, float]]:
        """(when sent in seconds, milliseconds until accepted)."""
        return ((a.sent_s, a.took_ms) for a in self.answers if a.status == 202)


def complaints(**fields: Any) -> Iterator[Complaint]:
    """Without end, each of another person about another parcel, and none of them ever made before."""
    run = uuid4().int % 10**6
    for n in itertools.count():
        waybill, phone = f"SC{run:06d}{n:07d}", f"+86137{(run * 131 + n) % 10**8:08d}"
        yield chain.complaint(TEXTS[n % len(TEXTS)], waybill=waybill, phone=phone) | fields


class Client:
    """Posts over kept-alive connections. Raw, because a real HTTP client costs as much as what is measured."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def pour(self, made: Iterator[Complaint], *, per_s: float, seconds: float = float("inf")) -> Poured:
        """Post at a steady pace for so long, or until there are no more; returns when all are answered."""
        poured, waiting, start = Poured(), set[asyncio.Task[None]](), time.monotonic()

        async def one(complaint: Complaint) -> None:
            poured.answers.append(await self._post(complaint))

        for n, complaint in enumerate(made):
            if n / per_s >= seconds:
                break
            await asyncio.sleep(max(0.0, start + n / per_s - time.monotonic()))
            if len(waiting) >= IN_FLIGHT_MAX:
                poured.unsent += 1
                continue
            task = asyncio.create_task(one(complaint))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)
        return poured

    def close(self) -> None:
        """Close what is open."""
        for _, writer in self._idle:
            writer.close()

    async def _post(self, complaint: Complaint) -> Answer:
        body, sent_s = orjson.dumps(complaint), time.monotonic()
        head = (
            f"POST /v1/complaints HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: scale-{uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        status, may_retry, answered = 0, False, b""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                status, may_retry, answered = await self._exchange(head.encode() + body)
        except (OSError, EOFError, TimeoutError):
            pass  # no answer: status 0
        complaint_id = orjson.loads(answered)["complaint_id"] if status == 202 else ""
        return Answer(sent_s, (time.monotonic() - sent_s) * 1000, status, may_retry, complaint_id)

    async def _exchange(self, request: bytes) -> tuple[int, bool, bytes]:
        reader, writer = await self._connection()
        is_kept = False
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length.group(1)) if length else 0)
            is_kept = b"connection: close" not in head.lower()
            return int(head[9:12]), b"\r\nretry-after:" in head.lower(), body
        finally:
            if is_kept:
                self._idle.append((reader, writer))
            else:
                writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():  # the intake closes what was idle for seconds
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)
