"""A large database, quickly: what the services wrote about some tickets, copied under other ids.

Ids are replaced in the encoded documents, in text of the same length, and alike in all collections, so that everything
has its real size, its real indexes, and still belongs together. The copies of one document differ in the end of their
ids alone and are inserted together, in the order of the ids: inserted all over an index that is larger than the
database's cache, a million tickets take an hour.
"""

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import chain, islice
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

COLLECTIONS = (
    "tickets", "ticket_events", "complaints", "claims", "contacts", "clocks", "deadlines", "addressees", "promises",
    "notifications", "submissions",
)  # fmt: skip
"""Those that grow with every ticket and are never cleared."""
BATCH = 2_000
DUE = timedelta(hours=12), timedelta(hours=84)
"""From now on, the deadlines of copies are due: after any measurement, and spread as deadlines are."""
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")

Maker = Callable[[int], bytes]


def fill(database: Database[Any], *, seeds: dict[str, list[dict[str, Any]]], copies: range, now: datetime) -> int:
    """Insert these copies of the seeds, all collections at once; how many documents."""
    with ThreadPoolExecutor(len(COLLECTIONS)) as threads:
        return sum(threads.map(lambda name: _insert(database, name, seeds[name], copies, now), COLLECTIONS))


def _insert(database: Database[Any], name: str, seeds: list[dict[str, Any]], copies: range, now: datetime) -> int:
    rng, count = random.Random(copies.start), 0
    makers = [maker(seed) for seed in sorted(seeds, key=lambda seed: str(seed["_id"]))]
    made: Iterator[bytes] = chain.from_iterable((make(copy) for copy in copies) for make in makers)
    while some := list(islice(made, BATCH)):
        if name == "deadlines":
            # Decoded, since each copy shall have a time of its own.
            spread = [
                {**bson.decode(one), "due_at": now + rng.uniform(0, 1) * (DUE[1] - DUE[0]) + DUE[0]} for one in some
            ]
            database[name].insert_many(spread, ordered=False)
        else:
            database[name].insert_many([RawBSONDocument(one) for one in some], ordered=False)
        count += len(some)
    return count


def maker(document: dict[str, Any]) -> Maker:
    """Makes the copies of a document by their number, from 1 on."""
    if not _ID.search(str(document["_id"]).encode()):
        # It is named by a provider: a name that can be told apart takes its place.
        document = {**document, "_id": str(uuid5(NAMESPACE_OID, str(document["_id"])))}
    encoded, pieces, at = bson.encode(document), list[bytes](), 0
    ids: list[bytes] = []
    for found in _ID.finditer(encoded):
        pieces.append(encoded[at : found.start()])
        ids.append(found.group())
        at = found.end()
    rest = encoded[at:]

    def copy(number: int) -> bytes:
        mask = int.from_bytes(blake2b(number.to_bytes(8), digest_size=8).digest())
        return b"".join(chain.from_iterable((p, _other(i, mask)) for p, i in zip(pieces, ids, strict=True))) + rest

    return copy


def _other(id_: bytes, mask: int) -> bytes:
    """Another id of the same form: a UUID keeps its version and variant."""
    if len(id_) == 32:
        return b"%032x" % (int(id_, 16) ^ mask)
    digits = b"%032x" % (int(id_.replace(b"-", b""), 16) ^ (mask & ~(0xF << 76) & ~(0x3 << 62)))
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
