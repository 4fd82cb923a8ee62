"""A person's way through the desk on the real database: sign in, queue, ticket, command."""

import re
from pathlib import Path

from services.desk.audit import Sought
from services.runtime import mongo
from tests.unit.desk.stories import Story, stories
from tests.unit.desk.web_scene import PASSWORD, WORDS, WebScene


async def test_from_the_door_to_a_command(mongo_url: str, database_name: str, tmp_path: Path) -> None:
    """Signed in with a password, the ticket is found, its words are read, and an answer in one's own words is given."""
    database = mongo.connect(mongo_url, database=database_name)
    scene = WebScene(database, tmp_path)
    await scene.rows.create_indexes()
    await scene.people()
    await scene.tickets([Story(), *stories(["4"], assigned={"unit": "NET-1"})])
    async with scene.client() as client:
        sent = await client.get("/tickets/2611-000017")
        assert sent.headers["location"].startswith("/sign-in?next=")
        entered = await client.post(
            "/sign-in", data={"name": "agent", "password": PASSWORD, "next": "/queue?unit=HUB-01"}
        )
        queue = await client.get(entered.headers["location"])
        assert "2611-000017" in queue.text
        assert "2611-000004" not in queue.text
        token = re.search(r'name="csrf_token" value="(\w+)"', queue.text)
        assert token
        csrf = {"csrf_token": token[1]}
        assert WORDS in (await client.post("/tickets/2611-000017/wording", data=csrf)).text
        form = await client.get("/tickets/2611-000017/do/answer")
        hidden = dict(re.findall(r'name="(version|command_id)" value="([^"]*)"', form.text))
        written = {**csrf, **hidden, "remedy": "redeliver", "for_customer": "Tomorrow before noon."}
        done = await client.post("/tickets/2611-000017/do/answer", data=written)
        assert done.headers["location"] == "/tickets/2611-000017?done=answer"
        ticket = (await client.get(done.headers["location"])).text
        assert "Answered: Deliver again." in ticket
        assert "Tomorrow before noon." in ticket
        assert (await client.get("/board.json")).json()["departments"][0]["department"] == "hubs"
    async with scene.client("outlet_staff") as outlet:
        assert "2611-000017" not in (await outlet.get("/queue")).text
    audited = await scene.audit.page(Sought(), count_max=10)
    assert {entry.action for entry in audited} == {"sign_in", "read_wording", "read_notes"}
