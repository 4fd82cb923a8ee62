"""`POST /v1/evidence`: one file as the body, or several as multipart/form-data."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from services.intake import openapi
from services.intake.answers import json_answer, language_wanted, problem_answer
from services.intake.body import BodyRefused, BytesInFlight, ClientDisconnect, expected_bytes, read_body
from services.intake.evidence import inspect
from services.intake.evidence_store import Evidence, EvidenceStore
from services.intake.handlers import Unavailable
from services.intake.http import add_route, refusal_answer, unavailable_answer
from services.intake.problems import Problem, problem
from services.intake.settings import IntakeSettings
from services.runtime.metrics import IntakeMetrics

FRAMING_BYTES: Final = 65_536
"""Room for what multipart puts round the files."""
UPLOAD_S_MAX: Final = 120.0
_DIGEST: Final = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


@dataclass(frozen=True, slots=True)
class Upload:
    """One file as it came."""

    content: bytes
    declared: str
    sha256: str | None
    """What the caller says its checksum is."""


class EvidenceRoutes:
    """Takes files, looks at their content, keeps them."""

    def __init__(
        self,
        *,
        store: EvidenceStore,
        bytes_in_flight: BytesInFlight,
        now: Callable[[], datetime],
        metrics: IntakeMetrics,
        settings: IntakeSettings,
    ) -> None:
        self._store = store
        self._bytes_in_flight = bytes_in_flight
        self._now = now
        self._metrics = metrics
        self._settings = settings

    def add_to(self, app: FastAPI) -> None:
        """Serve it."""
        add_route(app, "/v1/evidence", self.post, "POST", openapi.POST_EVIDENCE)

    async def post(self, request: Request) -> Response:
        """Keep what came."""
        is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
        bytes_max = self._settings.evidence_upload_bytes_max if is_form else self._settings.evidence_bytes_max
        bytes_max += FRAMING_BYTES if is_form else 0
        try:
            room = expected_bytes(request, bytes_max=bytes_max)
            with self._bytes_in_flight.hold(room):
                body = await read_body(request, bytes_max=bytes_max, seconds_max=UPLOAD_S_MAX)
                uploads, problems = await self._files(request, body) if is_form else ([_raw(request, body)], [])
                return await self._keep(request, uploads, problems)
        except BodyRefused as refusal:
            return refusal_answer(refusal, request, retry_after_s=self._settings.retry_after_s)
        except Unavailable:
            return unavailable_answer(language_wanted(request), self._settings.retry_after_s)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _keep(self, request: Request, uploads: list[Upload], problems: list[Problem]) -> Response:
        kept: list[dict[str, Any]] = []
        looked_at = [self._look_at(upload) for upload in uploads]
        for place, (_, found) in enumerate(looked_at):
            problems += found if len(uploads) == 1 else [replace(one, field=f"{one.field}.{place}") for one in found]
        if problems:
            return problem_answer("invalid-evidence", 422, language_wanted(request), problems=problems)
        for evidence, _ in looked_at:
            await self._store.put(evidence)
            self._metrics.evidence_bytes.inc(len(evidence.content))
            kept.append(
                {
                    "id": str(evidence.evidence_id),
                    "type": evidence.media_type,
                    "size": len(evidence.content),
                    "sha256": hashlib.sha256(evidence.content).hexdigest(),
                }
            )
        return json_answer({**kept[0], "evidence": kept} if len(kept) == 1 else {"evidence": kept}, 201)

    def _look_at(self, upload: Upload) -> tuple[Evidence, list[Problem]]:
        found, problems = inspect(upload.content, declared=upload.declared, bytes_max=self._settings.evidence_bytes_max)
        if upload.sha256 is not None:
            if not re.fullmatch(r"[0-9a-f]{64}", upload.sha256):
                problems.append(problem("sha256", "checksum_invalid", value=upload.sha256))
            elif hashlib.sha256(upload.content).hexdigest() != upload.sha256:
                problems.append(problem("sha256", "checksum_differs", value=upload.sha256))
        return Evidence(uuid4(), found or "", upload.content, self._now()), problems

    async def _files(self, request: Request, body: bytes) -> tuple[list[Upload], list[Problem]]:
        async def once() -> AsyncGenerator[bytes, None]:
            yield body

        files_max = self._settings.evidence_files_max
        headers = Headers(raw=request.headers.raw)
        try:
            form = await MultiPartParser(headers, once(), max_files=files_max, max_fields=files_max).parse()
        except MultiPartException as refusal:
            if "Too many files" in refusal.message:
                return [], [problem("file", "too_many_files", details={"files_max": files_max})]
            return [], [problem("", "multipart_broken")]
        except (KeyError, ValueError):  # no or a broken boundary
            return [], [problem("", "multipart_broken")]
        checksums = [str(value).strip().lower() for value in form.getlist("sha256") if isinstance(value, str)]
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        uploads = [
            Upload(await file.read(), file.content_type or "", checksums[place] if place < len(checksums) else None)
            for place, file in enumerate(files)
        ]
        await form.close()
        return uploads, [] if uploads else [problem("file", "no_file")]


def _raw(request: Request, body: bytes) -> Upload:
    """The body as a file; its checksum stands in `Content-Digest` (RFC 9530) or as `?sha256=`."""
    checksum = request.query_params.get("sha256")
    digest = _DIGEST.search(request.headers.get("content-digest", ""))
    if checksum is None and digest is not None:
        try:
            checksum = base64.b64decode(digest.group(1), validate=True).hex()
        except binascii.Error:
            checksum = digest.group(1)
    return Upload(body, request.headers.get("content-type", ""), checksum.lower() if checksum else None)
