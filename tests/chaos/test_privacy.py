"""Personal data is in no log, no metric, no long-lived topic and not in the event store."""

import os
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from schemas.topics import TOPICS
from services.cli.topic_reading import read_to_end
from services.runtime.settings import RuntimeSettings
from tests.chaos.whole_system import feed, settle, whole_system

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PHONE, EMAIL, NAME, PLACE = "13677665544", "lin.secret@example.com", "林若秘", "梧桐路九十八弄七号"
MARKS = [PHONE, EMAIL, NAME, PLACE, "lin.secret", "77665544"]
LONG_LIVED = [topic.name for topic in TOPICS.values() if topic.retention is None]
KEPT_IN_CLEAR = ("ticket_events", "tickets", "clocks", "deadlines", "complaints", "claims", "notifications", "contacts")


def complaint(key: str, **changed: Any) -> dict[str, Any]:
    return {
        "key": key,
        "channel": "web",
        "complainant": {"name": NAME, "phone": PHONE, "email": EMAIL},
        "waybills": ["SF1357913579135"],
        "occurred_place": PLACE,
        "description": f"我是{NAME}，住{PLACE}，电话{PHONE}，邮箱{EMAIL}。包裹 SF1357913579135 丢了，请赔偿。",
        **changed,
    }


async def test_known_personal_data_is_found_nowhere(tmp_path):
    """A name, a number and addresses go in, in the fields and in the text, in good and in bad complaints."""
    folder = tmp_path / "run"
    with whole_system(folder, workers={}) as system:
        await feed(system, [complaint("a"), complaint("b", channel="phone")], per_s=5)
        async with httpx.AsyncClient(timeout=10) as client:
            bad = complaint("c", received_at="not a time", evidence=["x"])
            refused = await client.post(f"{system.run['http']['intake']}/v1/complaints", json=bad)
            assert 400 <= refused.status_code < 500
        snapshot, _ = await settle(system, seconds=30)
        assert any(PHONE in m["to"] for m in snapshot.messages or ()), "the message must have gone out"
        places = {"metrics": await _metrics(system.run), **_collections(system.run)}
        async for record in read_to_end(RuntimeSettings(kafka=system.run["kafka"]), LONG_LIVED):
            places[f"{record.topic}/{record.partition}/{record.offset}"] = repr(record.payload) + repr(record.headers)
    for log in (folder / "logs").rglob("*"):
        if log.is_file():
            places[f"log {log.name}"] = log.read_text(errors="replace")
    assert {"log router.log", "log notifier.log", "log intake.log", *KEPT_IN_CLEAR} <= places.keys()
    found = {place: mark for place, text in places.items() for mark in MARKS if mark in text}
    assert found == {}


async def _metrics(run: dict[str, Any]) -> str:
    async with httpx.AsyncClient(timeout=10) as client:
        return "\n".join([(await client.get(url)).text for url in run["metrics"].values()])


def _collections(run: dict[str, Any]) -> dict[str, str]:
    with MongoClient[dict[str, Any]](run["mongo"]) as client:
        database = client[os.environ.get("AMENDS_MONGO_DATABASE", "amends")]
        # The database returns text as text; sealed fields are bytes, in which no mark can stand.
        return {name: "\n".join(repr(d) for d in database[name].find()) for name in database.list_collection_names()}
