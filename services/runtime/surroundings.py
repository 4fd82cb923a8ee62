"""What a process reaches outside of itself: `app.py` wires a service's parts on these. A simulation has its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from aiokafka import AIOKafkaProducer

from services.runtime import mongo
from services.runtime.database_clock import DatabaseClock
from services.runtime.faust_consumer import Application
from services.runtime.mongo import Database
from services.runtime.settings import RuntimeSettings
from services.runtime.time_source import Clock


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The database, the time, and the two ways to Kafka."""

    database: Database
    clock: Clock
    """By it deadlines fire; the same for all workers."""
    producer: Callable[..., AIOKafkaProducer] = AIOKafkaProducer
    application: Callable[..., Application] = Application

    @classmethod
    def of(cls, settings: RuntimeSettings) -> Self:
        """Those that the settings name. Nothing is connected yet."""
        database = mongo.connect(settings.mongo, database=settings.mongo_database)
        return cls(database, DatabaseClock.of(database))
