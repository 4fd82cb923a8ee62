"""What a complainant got is shown to those who may read notes, in the words that it had."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from schemas.notes import Note
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import TICKET, Story, stories
from tests.unit.desk.web_scene import WebScene

MESSAGE, WORDS = UUID(int=7), UUID(int=8)
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PATH = f"/tickets/2611-000017/messages/{MESSAGE}"


def record(**fields: Any) -> dict[str, Any]:
    """As the notifier keeps it: a text that failed, then a letter."""
    return {
        "_id": str(MESSAGE),
        "ticket_id": str(TICKET),
        "moment": "answered",
        "facts": {"remedy": "refund", "amount": "25.50 CNY", "resolve_by": AT},
        "person": {"masked": {"phone": "138****1234", "email": None}, "time_zone": "Asia/Shanghai"},
        "note_ref": str(WORDS),
        "attempts": [{"channel": "sms", "template": "answered.sms.en", "sent_at": AT}],
        "state": "delivered",
    } | fields


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """Two tickets, one of NET-1, and a message."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    await scene.tickets([Story(), *stories(["4"], assigned={"unit": "NET-1"})])
    await scene.notes.put(WORDS, Note(text="SECRET", for_customer="We are sorry, <really>."), ticket=TICKET, at=AT)
    await scene.database["notifications"].insert_one(record())
    return scene


async def test_a_message_is_shown_as_it_was_sent(scene: WebScene) -> None:
    """With the words of whoever answered, the amount in words of its language, and no link that is its owner's."""
    async with scene.client("agent") as client:
        page = await client.get(PATH)
        assert page.status_code == 200, page.text
        for shown in (
            "2611-000017",
            "138****1234",
            "We are sorry, &lt;really&gt;.",
            "25.50",
            "[link to your own page]",
        ):
            assert shown in page.text
        assert "SECRET" not in page.text
        assert "https://care.example" not in page.text
        other = TICKET.hex
        for nowhere in (PATH.replace("000017", "000004"), f"/tickets/2611-000017/messages/{other}", PATH + "x"):
            assert (await client.get(nowhere)).status_code == 404
    read = [entry async for entry in scene.database["audit"].find({"about": str(MESSAGE)})]
    assert [(entry["action"], entry["fields"]) for entry in read] == [("read_notes", ["message"])]


async def test_a_message_that_nobody_tried_has_no_text(scene: WebScene) -> None:
    """It says so."""
    await scene.database["notifications"].replace_one({"_id": str(MESSAGE)}, record(attempts=[]))
    async with scene.client("agent") as client:
        assert "Nothing was sent yet" in (await client.get(PATH)).text


async def test_messages_are_for_those_who_read_notes(scene: WebScene) -> None:
    """An outlet does not even learn that another's ticket is there."""
    async with scene.client("outlet_staff") as client:
        assert (await client.get(PATH)).status_code == 404
