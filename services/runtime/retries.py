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
