"""Departments, units and people by name, and what may be meant by what somebody has begun to type."""

from pathlib import Path
from typing import cast

import pytest
from pymongo.errors import AutoReconnect

from services.desk.naming import KEPT_S, SUGGESTED_MAX, Names, Naming, names_of
from services.organisation.directory import organisation
from services.organisation.directory_store import DirectoryStore, packaged
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import stories
from tests.unit.desk.web_scene import WebScene


@pytest.fixture
async def scene(tmp_path: Path) -> WebScene:
    """The packaged directory, and a ticket of an outlet that it knows."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    await scene.rules()
    await scene.tickets(stories(["3"], assigned={"department": "outlets", "unit": "net-1001"}))
    return scene


def test_what_is_meant_is_found_by_code_and_by_name() -> None:
    """What begins so comes first, and there are never too many."""
    names = Names(units={"NET-1001": "上海浦东网点", "HUB-01": "上海分拨中心", "XNET-1": "Depot", "A1": "网点 NET"})
    assert names.meant("unit", "net") == [("NET-1001", "上海浦东网点"), ("XNET-1", "Depot"), ("A1", "网点 NET")]
    assert [code for code, _ in names.meant("unit", " 上海 ")] == ["NET-1001", "HUB-01"]
    assert names.meant("unit", "nowhere") == names.meant("planet", "") == []
    assert len(Names(units={str(n): "" for n in range(100)}).meant("unit", "")) == SUGGESTED_MAX


def test_what_has_no_name_is_called_by_its_code() -> None:
    """A unit may have left the directory, or none was ever loaded."""
    assert (Names().unit("NET-9"), Names().department("D1"), Names().unit(None)) == ("NET-9", "D1", "")


async def test_names_follow_the_directory(scene: WebScene) -> None:
    """A new version is known some seconds later; while it cannot be read, what was known holds."""
    now, directory = [0.0], DirectoryStore(scene.database)
    naming = Naming(directory, ticks=lambda: now[0])
    assert (await naming.names()).department("outlets") == "网点管理部"
    sections = (await directory.current() or pytest.fail("there is none")).model_dump(mode="json")
    sections["departments"][1]["name"] = "Outlets"
    await directory.load({"departments": sections["departments"]})
    assert (await naming.names()).department("outlets") == "网点管理部"
    now[0] = KEPT_S
    assert (await naming.names()).department("outlets") == "Outlets"

    async def away() -> int:
        raise AutoReconnect

    directory.version = away  # type: ignore[method-assign]
    now[0] = 2 * KEPT_S
    assert (await naming.names()).department("outlets") == "Outlets"


async def test_pages_say_names_and_fields_suggest_them(scene: WebScene) -> None:
    """The code stays at hand; of several words in a field, the last is looked for."""
    async with scene.client("supervisor") as client:
        queue = (await client.get("/queue")).text
        assert 'title="net-1001">上海浦东网点<' in queue
        ticket = (await client.get("/tickets/2611-000003")).text
        assert 'title="outlets">网点管理部<' in ticket
        form = (await client.get("/tickets/2611-000003/do/assign")).text
        assert 'list="f-unit-names" hx-get="/names/unit"' in form
        assert '<datalist id="f-unit-names">' in form
        options = (await client.get("/names/unit", params={"unit": "HUB-01 浦东"})).text
        assert options.strip() == '<option value="HUB-01 NET-1001">上海浦东网点</option>'


async def test_an_outlet_is_suggested_nobody(scene: WebScene) -> None:
    """Who may not read the directory sees no list of it, in a field no more than on its page."""
    async with scene.client("outlet_staff") as client:
        assert 'hx-get="/names' not in (await client.get("/queue")).text
        assert (await client.get("/names/person", params={"person": "a"})).status_code == 403


def test_people_are_known_by_where_they_work() -> None:
    """An id alone says little."""
    names = names_of(organisation({**packaged(), "version": 7}))
    assert names.people["net-1001-desk"] == "网点管理部 · 上海浦东网点"
    assert names.version == 7
