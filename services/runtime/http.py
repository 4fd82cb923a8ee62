"""The HTTP surface that every service has, and how forms are read."""

import codecs
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from services.runtime.readiness import Readiness

__all__ = ["Readiness", "health_routes", "read_form"]

_CHARSETS: Final = frozenset({"utf-8", "ascii"})


async def read_form(request: Request, **bounds: int) -> FormData:
    """The form of a request, whose texts are texts.

    Args:
        request: what comes.
        bounds: as `Request.form` has them.

    Raises:
        HTTPException: 400, it is broken or in a charset that no browser sends: some make halves of characters.
    """
    _, options = parse_options_header(request.headers.get("content-type"))
    try:
        charset = codecs.lookup(options.get(b"charset", b"utf-8").decode("latin-1")).name
    except (LookupError, ValueError):
        charset = ""
    if charset not in _CHARSETS:
        raise HTTPException(400)
    return await request.form(**bounds)


def health_routes(readiness: Readiness, registry: CollectorRegistry) -> APIRouter:
    """`/healthz` (the process answers), `/readyz` (it can work; 503 with the reasons if not) and `/metrics`."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="The service can do its work", responses={503: {"description": "Why it cannot"}})
    async def readyz() -> JSONResponse:
        if readiness.ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reasons": readiness.reasons}, status_code=503)

    @router.get("/metrics", summary="Metrics in Prometheus' text format")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
