"""Policies and directory at the desk on the real database: tried out, put into force, and seen by others."""

import html
import re
from pathlib import Path

from services.organisation.directory_store import DirectoryStore
from services.runtime import mongo
from services.service_levels.policy_store import PolicyStore
from services.sla_monitor.clock_store import Change, ClockStore
from tests.unit.desk.stories import stories
from tests.unit.desk.web_scene import WebScene


def filled(text: str) -> dict[str, str]:
    """A form as a browser would send it."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text.split('class="draft"')[1]))
    written = re.search(r'<textarea id="f-text"[^>]*>\n(.*?)</textarea>', text, re.DOTALL)
    assert written
    return fields | {"text": html.unescape(written[1])}


async def test_from_a_preview_to_a_version_that_others_follow(
    mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    """Limits and a person's capacity are changed; the SLA monitor's store and the router's have the new versions."""
    database = mongo.connect(mongo_url, database=database_name)
    scene = WebScene(database, tmp_path)
    await scene.rows.create_indexes()
    await scene.people()
    await scene.rules()
    told = stories(["3", "4"])
    await scene.tickets(told)
    clocks = ClockStore(database)
    await clocks.prepare()
    await clocks.save([Change(s.sla, None, None, "s", (), is_to_arm=False) for s in told if s.sla])
    async with scene.client("centre_manager") as client:
        form = filled((await client.get("/policies/sla/new")).text)
        form["text"] = form["text"].replace("name: first-answer, target: 48h", "name: first-answer, target: 1h")
        preview = await client.post("/policies/sla/new", data={**form, "act": "preview"})
        assert preview.text.count("1 d 23 h earlier") == 2
        added = await client.post("/policies/sla/new", data={**filled(preview.text), "act": "add"})
        assert added.headers["location"] == "/policies?added=2"
        form = filled((await client.get("/directory/edit?section=people")).text)
        form["text"] = form["text"].replace("capacity: 60", "capacity: 70", 1)
        preview = await client.post("/directory/edit", data={**form, "act": "preview"})
        assert "<ins>70</ins>" in preview.text
        saved = await client.post("/directory/edit", data={**filled(preview.text), "act": "add"})
        assert saved.headers["location"] == "/directory?saved=2"
    assert await PolicyStore(database).numbers() == [1, 2]
    now = await DirectoryStore(database).current()
    assert now
    assert now.people[0].capacity == 70
