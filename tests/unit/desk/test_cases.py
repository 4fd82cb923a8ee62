"""Cases that were solved, to learn from."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from schemas import events as e
from schemas.codes import TicketState
from services.desk.row import Row
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import RECEIVED, Story, stories
from tests.unit.desk.web_scene import NOW, WebScene, money


def solved(number: int, *, archived: bool = False, at: float = 60, **fields: Any) -> Story:
    """A ticket that was answered with a refund and resolved; `at` in minutes."""
    (story,) = stories([str(number)], **fields)
    story.tell(e.TicketFindingsRecorded, TicketState.INVESTIGATING, 1, cause="missorted")
    story.tell(e.TicketAnswered, TicketState.ANSWERED, 2, remedy="refund", amount=money("25.50"))
    story.tell(e.TicketResolved, TicketState.RESOLVED, at, outcome="refunded")
    if archived:
        story.tell(e.TicketClosed, TicketState.CLOSED, at + 1)
        story.tell(e.TicketArchived, TicketState.CLOSED, at + 2, cause="backlog", remedy="")
    return story


def settlement(row: Row) -> tuple[object, ...]:
    """How it was settled."""
    return row.remedy, row.amount, row.causes, row.settled_at, row.archived_at


def test_a_row_tells_how_it_was_settled() -> None:
    """Since when, with which remedy and amount, and because of what; opened anew, it is not settled any more."""
    story = solved(1, archived=True)
    at = RECEIVED + timedelta(minutes=60)
    archived_at = at + timedelta(minutes=2)
    assert settlement(story.row()) == ("refund", "25.50 CNY", ("missorted", "backlog"), at, archived_at)
    story.tell(e.TicketReopened, TicketState.IN_REVIEW, 70, before="closed", received_at=RECEIVED)
    assert settlement(story.row()) == ("", "", ("missorted", "backlog"), None, None)


async def scene_of(tmp_path: Path, told: list[Story]) -> WebScene:
    """With these tickets."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    await scene.tickets(told)
    return scene


async def test_similar_cases_stand_on_the_ticket(tmp_path: Path) -> None:
    """Solved ones of the same matter: those of the same outlet first, then of the same severity, then the newest."""
    grave = {"said": {"severity": 4}}
    told = [
        Story(),
        solved(1),
        solved(2, at=61),
        solved(3, at=90, assigned={"unit": "NET-1"}),
        solved(4, at=95, classified=dict(grave)),
        solved(5, classified={"said": {"sub": "pickup"}}),
        *stories(["6"]),
        *(solved(number, at=30 + number, assigned={"unit": "HUB-07"}) for number in range(10, 14)),
    ]
    scene = await scene_of(tmp_path, told)
    async with scene.client("agent") as agent:
        page = (await agent.get("/tickets/2611-000017")).text
        section = page[page.index('id="h-similar"') : page.index('id="h-messages"')]
        assert re.findall(r'href="/tickets/2611-0000(\d\d)"', section) == ["02", "01", "04", "03", "13"]
        assert "Refund · CN¥25.50 · Missorted" in section
        assert "1 h" in section
        assert (
            'href="/tickets/2611-000002"'
            not in (await agent.get("/tickets/2611-000002")).text.partition('id="h-similar"')[2]
        )
    async with scene.client("outlet_staff") as outlet:
        page = (await outlet.get("/tickets/2611-000003")).text
        assert "No case" not in page
        assert "/tickets/2611-000002" not in page


async def test_the_archive_is_searched(tmp_path: Path) -> None:
    """By category, cause, remedy and unit, the newest first; of what is not archived nothing is there."""
    told = [
        solved(1, archived=True),
        solved(2, archived=True, at=61, assigned={"unit": "NET-1"}),
        solved(3, archived=True, at=62, classified={"said": {"primary": "loss", "sub": None}}),
        solved(4),
    ]
    scene = await scene_of(tmp_path, told)

    async def found(role: str, query: str = "") -> list[str]:
        async with scene.client(role) as client:
            answer = await client.get(f"/knowledge?{query}")
        assert answer.status_code == 200
        return re.findall(r'<th scope="row"><a href="/tickets/2611-00000(\d)"', answer.text)

    assert await found("management") == ["3", "2", "1"]
    assert await found("agent", "category=delay") == ["2", "1"]
    assert await found("agent", "category=delay.transit&unit=hub-01") == ["1"]
    assert await found("agent", "cause=backlog&remedy=refund&category=loss") == ["3"]
    assert await found("agent", "cause=weather") == []
    assert await found("outlet_staff") == ["2"]
    assert await found("outlet_staff", "unit=HUB-01") == []
    async with scene.client("agent") as client:
        assert (await client.get("/knowledge?cursor=forged")).status_code == 422
        assert (await client.get(f"/knowledge?unit={'x' * 65}")).status_code == 422
    assert scene.now == NOW
