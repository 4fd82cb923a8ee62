"""Redis as the intake uses it: hashes that anybody may wipe at any time."""

from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from tests.simulation.network import Way


class Redis:
    """In the shape of `redis.asyncio.Redis`, as far as it is used."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.hashes: dict[str, dict[bytes, str]] = {}

    def flush(self) -> None:
        """FLUSHALL."""
        self.hashes.clear()

    def pipeline(self, *, transaction: bool) -> "Pipeline":
        """Commands that travel together."""
        assert not transaction
        return Pipeline(self)


class Pipeline:
    """Commands, done by `execute`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._commands: list[Callable[[], Any]] = []

    def hmget(self, name: str, fields: list[bytes]) -> None:
        """Values of fields."""
        self._commands.append(lambda: [self._redis.hashes.get(name, {}).get(field) for field in fields])

    def hset(self, name: str, *, items: list[Any]) -> None:
        """Set fields, given as field, value, field, value."""
        self._commands.append(
            lambda: self._redis.hashes.setdefault(name, {}).update(zip(items[::2], items[1::2], strict=True))
        )

    def expire(self, _name: str, _seconds: int) -> None:
        """No simulation lasts so long."""
        self._commands.append(lambda: True)

    async def execute(self) -> list[Any]:
        """Do all.

        Raises:
            RedisConnectionError: it is away.
        """
        answers: list[Any] = []
        await self._redis.way.request(
            [lambda: answers.extend(command() for command in self._commands)], RedisConnectionError
        )
        return answers
