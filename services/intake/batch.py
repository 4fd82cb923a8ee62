"""`POST /v1/complaints/batch`: many complaints in one request, answered line by line while the rest is still coming."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schemas.codes import Channel, Language
from services.intake import openapi
from services.intake.answers import language_wanted, problem_answer
from services.intake.body import BodyRefused, expected_bytes
from services.intake.gate import places
from services.intake.handlers import Accepted, Intake, Ready, Refused, Unavailable
from services.intake.http import (
    Rejections,
    add_route,
    charset,
    idempotency_key,
    refusal_answer,
    require_type,
    shown_names,
    traceparent,
)
from services.intake.lines import CsvLines, JsonLines, Line, Lines
from services.intake.problems import problem
from services.intake.settings import IntakeSettings
from services.runtime.logging import get_logger
from services.runtime.metrics import IntakeMetrics

JSON_LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
CSV: Final = ("text/csv", "application/csv")
CHARSETS: Final = ("utf-8", "utf8", "gb18030", "gbk", "gb2312")
"""JSON is UTF-8 (RFC 8259 section 8.1): the first two."""
GROUP_LINES_MAX: Final = 500
GROUPS_AT_ONCE: Final = 3
LINES_PER_TURN: Final = 50
"""After so many lines others get the event loop, so that a big file does not hold up single complaints."""

log = get_logger(__name__)

Answer = dict[str, Any]


class BatchRoutes:
    """Reads lines, takes them in groups, answers in their order."""

    def __init__(
        self, *, intake: Intake, rejections: Rejections, metrics: IntakeMetrics, settings: IntakeSettings
    ) -> None:
        self._intake = intake
        self._rejections = rejections
        self._settings = settings
        self._metrics = metrics
        self._free = settings.batches_in_flight_max

    def add_to(self, app: FastAPI) -> None:
        """Serve it; before `/v1/complaints/{id}`, which would match the path, too."""
        add_route(app, "/v1/complaints/batch", self.post, "POST", openapi.POST_BATCH)

    async def post(self, request: Request) -> Response:
        """Begin; the answer streams."""
        key = idempotency_key(request)
        try:
            require_type(request, (*JSON_LINES, *CSV), charsets=CHARSETS if _is_csv(request) else CHARSETS[:2])
            expected_bytes(request, bytes_max=self._settings.batch_bytes_max)
            self._require_room()
        except BodyRefused as refusal:
            return refusal_answer(refusal, request, retry_after_s=self._settings.retry_after_s)
        if key is not None and not (0 < len(key) <= 200 and key.isascii() and key.isprintable()):
            wrong = problem("Idempotency-Key", "idempotency_key_invalid", value=key)
            return problem_answer("invalid-complaint", 422, language_wanted(request), problems=(wrong,))
        batch = _Batch(
            request=request,
            key=key,
            intake=self._intake,
            rejections=self._rejections,
            metrics=self._metrics,
            settings=self._settings,
        )
        return _Streamed(self._answers(batch))

    def _require_room(self) -> None:
        if self._free <= 0:
            raise BodyRefused("overloaded", 503)

    async def _answers(self, batch: "_Batch") -> AsyncIterator[bytes]:
        self._free -= 1
        try:
            async for piece in batch.answers():
                yield piece
        finally:
            self._free += 1


class _Batch:
    """One request."""

    def __init__(
        self,
        *,
        request: Request,
        key: str | None,
        intake: Intake,
        rejections: Rejections,
        metrics: IntakeMetrics,
        settings: IntakeSettings,
    ) -> None:
        self._request = request
        self._key = key
        self._intake = intake
        self._rejections = rejections
        self._metrics = metrics
        self._settings = settings
        self._language = language_wanted(request)
        self._trace = traceparent(request)
        self._same: Counter[bytes] = Counter()
        self._at_once = asyncio.Semaphore(GROUPS_AT_ONCE)
        self._groups: asyncio.Queue[asyncio.Task[list[Answer]] | None] = asyncio.Queue()

    async def answers(self) -> AsyncIterator[bytes]:
        """JSON lines, in the order of the lines.

        Reading does not wait for the client to read answers: one that sends everything before it reads anything would
        wait for ever. What piles up is bounded by `batch_lines_max`.
        """
        reading = asyncio.create_task(self._read())
        try:
            while (group := await self._groups.get()) is not None:
                yield b"".join(orjson.dumps(answer) + b"\n" for answer in await group)
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        parser: Lines = _parser(self._request)
        size = count = 0
        try:
            async for piece in self._pieces():
                size += len(piece)
                lines = list(parser.feed(piece))
                count += len(lines)
                if size > self._settings.batch_bytes_max or count > self._settings.batch_lines_max:
                    await self._refuse_rest(lines)
                    return
                await self._hand_over(lines)
            await self._hand_over(list(parser.end()))
        except (ClientDisconnect, TimeoutError):
            pass  # what was accepted stays accepted; sending the same again finds it
        finally:
            self._groups.put_nowait(None)

    async def _pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            TimeoutError: nothing came for so long that the client counts as gone: it holds a place that others need.
        """
        coming = aiter(self._request.stream())
        while True:
            async with asyncio.timeout(self._settings.body_s_max):
                piece = await anext(coming, None)
            if piece is None:
                return
            yield piece

    async def _hand_over(self, lines: Sequence[Line]) -> None:
        for start in range(0, len(lines), GROUP_LINES_MAX):
            await self._at_once.acquire()
            group = asyncio.create_task(self._take(lines[start : start + GROUP_LINES_MAX]))
            group.add_done_callback(lambda _: self._at_once.release())
            self._groups.put_nowait(group)

    async def _refuse_rest(self, lines: Sequence[Line]) -> None:
        details = {"lines_max": self._settings.batch_lines_max}
        too_many = problem("", "too_many_lines", details=details)
        await self._hand_over([Line(line.number, line.raw, problem=too_many) for line in lines[:1]])

    async def _take(self, lines: Sequence[Line]) -> list[Answer]:
        """Answers for a group of lines; whatever happens to one, the others get theirs."""
        prepared: list[Ready | Refused | Unavailable] = []
        for place, line in enumerate(lines):
            prepared.append(await self._prepare(line))
            if place % LINES_PER_TURN == LINES_PER_TURN - 1:
                await asyncio.sleep(0)
        ready = [one for one in prepared if isinstance(one, Ready)]
        try:
            accepted: Iterator[Accepted | Refused | Unavailable] = iter(await self._intake.accept(ready))
        except Unavailable as away:
            accepted = iter([away] * len(ready))
        except Exception as error:  # noqa: BLE001  # the answer has begun: lines are all that can still be told
            log.error("batch.group_failed", error=type(error).__name__, at=places(error), lines=len(ready))  # noqa: TRY400
            accepted = iter([Unavailable("an error of ours")] * len(ready))
        outcomes = [next(accepted) if isinstance(one, Ready) else one for one in prepared]
        await asyncio.gather(
            *(
                self._rejections.keep(outcome, line.raw, route="/v1/complaints/batch")
                for line, outcome in zip(lines, outcomes, strict=True)
                if isinstance(outcome, Refused)
            )
        )
        for channel, count in Counter(one.channel for one in outcomes if isinstance(one, Accepted)).items():
            self._metrics.accepted.labels(channel=channel.value).inc(count)
        self._metrics.unavailable.inc(sum(isinstance(one, Unavailable) for one in outcomes))
        return [_answer(line, outcome, self._language) for line, outcome in zip(lines, outcomes, strict=True)]

    async def _prepare(self, line: Line) -> Ready | Refused | Unavailable:
        if line.values is None:
            assert line.problem is not None
            return Refused("malformed-body", (line.problem,))
        values = {"channel": Channel.FILE.value, **line.values}
        key = None if "idempotency_key" in values else self._key_of(line)
        try:
            return await self._intake.prepare(values, key=key, traceparent=self._trace)
        except Unavailable as away:
            return away

    def _key_of(self, line: Line) -> str:
        if self._key is not None:
            return f"{self._key}:{line.number}"
        # The same line again in one file is another complaint; the same file again is not.
        digest = hashlib.sha256(line.raw).digest()[:16]
        self._same[digest] += 1
        return f"line:{digest.hex()}:{self._same[digest]}"


class _Streamed(Response):
    """Sends pieces as they come. Starlette's own would take the rest of the request for a sign of disconnection."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_csv(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in CSV


def _parser(request: Request) -> Lines:
    if not _is_csv(request):
        return JsonLines()
    said = charset(request.headers["content-type"].partition(";")[2])
    # GB18030 reads whatever GBK and GB2312 wrote.
    return CsvLines(charset="gb18030" if said and said.startswith("gb") else said and "utf-8")


def _answer(line: Line, outcome: Accepted | Refused | Unavailable, language: Language) -> Answer:
    if isinstance(outcome, Accepted):
        answer: Answer = {"line": line.number, "status": "accepted", "complaint_id": str(outcome.complaint_id)}
        if outcome.ignored:
            answer["ignored"] = shown_names(outcome.ignored)
        return answer
    if isinstance(outcome, Refused):
        errors = [one.told(language) for one in outcome.problems]
        return {"line": line.number, "status": "refused", "errors": errors}
    return {"line": line.number, "status": "unavailable", "errors": [problem("", "not_published").told(language)]}
