"""What fails that nobody foresaw."""

import re

import httpx
from fastapi import FastAPI

from services.desk.failing import Failing
from services.desk.security_headers import HEADERS, SecurityHeaders
from services.desk.web_visit import failed_html


async def post(**headers: str) -> httpx.Response:
    """What a desk answers of which one page is broken."""
    app = FastAPI()

    @app.post("/broken")
    async def broken() -> None:
        raise ArithmeticError("13800138000")

    app.add_middleware(Failing, answer=failed_html)
    app.add_middleware(SecurityHeaders)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as http:
        return await http.post("/broken", headers=headers)


async def test_a_program_gets_a_problem_with_a_reference_and_every_header() -> None:
    """RFC 9457, nothing of the error itself, and what every answer tells the browser."""
    answer = await post()
    told = answer.json()
    assert (answer.status_code, told["type"]) == (500, "urn:amends:problem:failed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert re.search(r"number [0-9a-f]{8}\.", told["detail"])
    assert "13800138000" not in answer.text
    assert "Arithmetic" not in answer.text


async def test_a_browser_gets_a_page_in_its_language_even_for_a_form() -> None:
    """Whoever sent a form reads a sentence, no JSON."""
    answer = await post(**{"Accept": "text/html", "Accept-Language": "zh-CN"})
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "告诉管理员" in answer.text
