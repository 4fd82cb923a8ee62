"""Both databases: what holds of a store on one of them holds on the other."""

from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from services.runtime import mongo
from services.runtime.mongo import Database
from tests.simulation.database import Store

Connections = Callable[[], Database]


@pytest.fixture
def simulated_connections() -> Connections:
    """To an empty database of the simulation."""
    store = Store()
    return lambda: cast("Database", store.database())


@pytest.fixture
async def real_connections(mongo_url: str, database_name: str) -> AsyncIterator[Connections]:
    """To an empty real one."""
    made: list[Database] = []

    def connect() -> Database:
        made.append(mongo.connect(mongo_url, database=database_name))
        return made[-1]

    yield connect
    await connect().client.drop_database(database_name)
    for database in made:
        database.client.close()


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.integration)])
def connections(request: pytest.FixtureRequest) -> Connections:
    """As many connections to one empty database as a test wants."""
    made: Connections = request.getfixturevalue(f"{request.param}_connections")
    return made


@pytest.fixture
def database(connections: Connections) -> Database:
    """One connection to an empty database."""
    return connections()
