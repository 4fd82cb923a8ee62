"""A network of routers on the session's database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.integration.router.scene import Scene


@pytest.fixture
def scene_of(
    mongo: Database[dict[str, Any]], mongo_url: str, database_name: str, tmp_path: Path
) -> Callable[[dict[str, Any] | None], Scene]:
    """A scene with its own directory; the fixture `mongo` drops the database afterwards."""
    return lambda sections: Scene(mongo_url, database_name, tmp_path, sections)


@pytest.fixture
def scene(scene_of: Callable[[dict[str, Any] | None], Scene]) -> Scene:
    """A scene with the packaged directory."""
    return scene_of(None)
