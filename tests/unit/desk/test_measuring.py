"""What the watchers of the desk are told of its requests."""

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.desk.failing import Failing
from services.desk.measuring import Measuring
from services.desk.web_visit import failed_html
from services.runtime.metrics import DeskMetrics


async def test_every_answer_counts_with_its_status_and_nothing_of_its_address() -> None:
    """Pages and API apart; what was not foreseen is a 500; files and the stream of changes are left out."""
    registry = CollectorRegistry()
    app = FastAPI()

    @app.get("/queue")
    async def queue() -> None: ...

    @app.get("/v1/tickets/{ticket}")
    async def broken(ticket: str) -> None:
        raise ArithmeticError(ticket)

    @app.get("/v1/live")
    async def live() -> None: ...

    app.add_middleware(Failing, answer=failed_html)
    app.add_middleware(Measuring, metrics=DeskMetrics(registry))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as http:
        for path in ("/queue", "/queue", "/v1/tickets/2611-000017", "/v1/live", "/static/desk.css", "/nowhere"):
            await http.get(path)
    counted = {
        (sample.labels["surface"], sample.labels["status"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "amends_desk_request_seconds_count"
    }
    assert counted == {("page", "200"): 2, ("api", "500"): 1, ("page", "404"): 1}
