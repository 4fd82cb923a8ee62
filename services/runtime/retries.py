"""What is tried again for as long as it takes."""

from typing import Final

from aiokafka.errors import KafkaConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError

from services.runtime import mongo
from services.runtime.producing import PublishFailed

UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (
    *mongo.UNAVAILABLE,
    PublishFailed,
    KafkaConnectionError,
    RedisConnectionError,
    ConnectionError,
)
"""A part that we need could not be asked. It says nothing about the message in hand, so trying again is right."""

FAILED: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, *mongo.FAILED)
"""For work that comes again by itself in any case: also what the database answered that it did not do."""


def is_unavailable(error: BaseException) -> bool:
    """Whether it is one of `UNAVAILABLE`, or the database answered that it is unable, e.g. because its disk is full."""
    return isinstance(error, UNAVAILABLE) or mongo.is_unable(error)
