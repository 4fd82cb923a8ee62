"""The one place that knows which driver talks to the database.

Motor is made by the makers of PyMongo, who end it in favour of PyMongo's own asynchronous client: that change is this
file alone.
"""

from typing import Any, Final

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
)
from pymongo import WriteConcern
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    CursorNotFound,
    ExecutionTimeout,
    OperationFailure,
    WTimeoutError,
)

Database = AsyncIOMotorDatabase[dict[str, Any]]
Collection = AsyncIOMotorCollection[dict[str, Any]]
Bucket = AsyncIOMotorGridFSBucket

DUPLICATE_KEY: Final = 11000

UNAVAILABLE: Final = (AutoReconnect, ConnectionFailure, CursorNotFound, ExecutionTimeout, WTimeoutError)
"""The database could not be asked, or whether it wrote is not known. Every write of ours may be done again."""

FAILED: Final = (*UNAVAILABLE, OperationFailure)
"""As `UNAVAILABLE`, or it was asked and did not do it. Then `is_unable` says whether that is for its own reasons."""

_ABOUT_WHAT_WAS_ASKED: Final = frozenset({2, 9, 14, 22, 28, 40, 52, 56, 57, 66, 121, 10334, DUPLICATE_KEY})
"""Codes for a value, type, size, path or key that is wrong: it will be as wrong the next time."""


def connect(uri: str, *, database: str, timeout_s: float = 5.0) -> Database:
    """The database. Connects when it is first used, so a database that is away does not stop a start.

    Writes are acknowledged by a majority and journaled. UUIDs are stored as BSON subtype 4, times come back aware.
    """
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        uri,
        serverSelectionTimeoutMS=int(timeout_s * 1000),
        connectTimeoutMS=int(timeout_s * 1000),
        socketTimeoutMS=int(timeout_s * 4000),
        retryWrites=False,
        appname="amends",
    )
    options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
    return client.get_database(database, codec_options=options, write_concern=WriteConcern(w="majority", j=True))


def bucket(database: Database, *, name: str) -> Bucket:
    """Files (GridFS) in the collections `<name>.files` and `<name>.chunks`."""
    return AsyncIOMotorGridFSBucket(database, bucket_name=name)


def is_unable(error: BaseException) -> bool:
    """Whether the database answered that it cannot do now what would be right at another time.

    Its disk is full, it no longer lets us in, it moves data: such codes are many and new ones come, so everything
    counts that does not blame what was asked.
    """
    if isinstance(error, BulkWriteError):
        codes = {e["code"] for e in error.details.get("writeErrors", ())}
        # What no majority has may be rolled back, whatever became of the rest.
        is_unsure = bool(error.details.get("writeConcernErrors"))
        return is_unsure or not codes or bool(codes - _ABOUT_WHAT_WAS_ASKED)
    return isinstance(error, OperationFailure) and error.code not in _ABOUT_WHAT_WAS_ASKED


def duplicate_indexes(refusal: BulkWriteError) -> set[int]:
    """Which writes of a bulk met a document with the same unique key.

    Raises:
        BulkWriteError: `refusal` itself, when any write failed for another reason, or what was written may be lost.
    """
    errors = refusal.details["writeErrors"]
    if refusal.details.get("writeConcernErrors") or any(e["code"] != DUPLICATE_KEY for e in errors):
        raise refusal
    return {e["index"] for e in errors}
