"""The HTTP surface that every service has."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from services.runtime.readiness import Readiness

__all__ = ["Readiness", "health_routes"]


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
