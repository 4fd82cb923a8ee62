"""The database of the simulation: in memory, shaped like motor as far as the stores of `services` use it.

`Store` holds what is kept, once for all processes. Each process has a `SimulatedDatabase` of its own on it, whose every
operation goes through that process's `Carrier`: there the simulation puts latency, lost answers and half-done bulks.
Nothing depends on time, chance or the hash of a text. An index with a time to live is kept, but deletes nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from pymongo.common import validate_ok_for_replace, validate_ok_for_update
from pymongo.errors import BulkWriteError, DuplicateKeyError, InvalidOperation, WriteError
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from services.runtime.mongo import DUPLICATE_KEY
from tests.simulation.documents import Change, Document, copied, first_key, projector, stored, updater
from tests.simulation.kept import Kept

Effect = Callable[[], Mapping[str, Any]]
"""One write. Gives what it adds to the counts of a bulk, or raises `WriteError` at the document that refuses it."""
Request = (
    InsertOne[Document]
    | UpdateOne
    | UpdateMany
    | ReplaceOne[Document]
    | DeleteOne
    | DeleteMany
)  # fmt: skip


class Carrier(Protocol):
    """The way from a process to the database and back."""

    async def call(self, operation: str, steps: Sequence[Callable[[], None]]) -> None:
        """Take the steps of one operation in their order.

        Args:
            operation: as `clocks.insert_many`.
            steps: each takes effect at once and as a whole. A read is one, a bulk is one for each of its writes.

        Raises:
            AutoReconnect: before, after or between steps, and so that the process cannot tell which.
        """


class Direct:
    """Takes one turn of the event loop and never fails."""

    async def call(self, operation: str, steps: Sequence[Callable[[], None]]) -> None:
        """See `Carrier`."""
        await asyncio.sleep(0)
        for step in steps:
            step()


class Store:
    """What is kept: every collection of one database."""

    def __init__(self) -> None:
        self._collections: defaultdict[str, Kept] = defaultdict(Kept)

    def database(self, carrier: Carrier | None = None) -> "SimulatedDatabase":
        """As one process sees it."""
        return SimulatedDatabase(self, carrier or Direct())

    def collection(self, name: str) -> "Kept":
        """One of them, which is there from the first time that it is named."""
        return self._collections[name]

    def count(self, name: str) -> int:
        """How many documents a collection has."""
        return len(self.collection(name).documents)

    def snapshot(self) -> dict[str, list[Document]]:
        """All documents by collection, in the order in which they were inserted; nobody may change them."""
        return {name: list(kept.documents.values()) for name, kept in self._collections.items()}


class SimulatedDatabase:
    """The database as one process sees it."""

    def __init__(self, store: Store, carrier: Carrier) -> None:
        self._store = store
        self._carrier = carrier

    def __getitem__(self, name: str) -> "SimulatedCollection":
        return SimulatedCollection(name, self._store.collection(name), self._carrier)

    async def command(self, command: str) -> Document:
        """Whether it answers."""
        if command != "ping":
            raise NotImplementedError(f"the command {command}")
        await self._carrier.call("command.ping", [])
        return {"ok": 1.0}


class SimulatedCollection:
    """A collection as one process sees it. Arguments, answers and errors are those of motor."""

    def __init__(self, name: str, kept: Kept, carrier: Carrier) -> None:
        self._name = name
        self._kept = kept
        self._carrier = carrier

    async def ask(self, operation: str, question: Callable[[], Any]) -> Any:
        """What a question is answered by in one step."""
        answers: list[Any] = []
        refusals: list[WriteError] = []

        def take() -> None:
            try:
                answers.append(question())
            except WriteError as refusal:
                refusals.append(refusal)

        await self._carrier.call(f"{self._name}.{operation}", [take])
        if refusals:
            raise refusals[-1]
        return answers[-1]

    async def create_index(self, fields: str | Sequence[tuple[str, int]], **options: Any) -> str:
        named = [(fields, 1)] if isinstance(fields, str) else fields
        name: str = await self.ask("create_index", lambda: self._kept.create_index(named, options))
        return name

    async def index_information(self) -> dict[str, Document]:
        found: dict[str, Document] = await self.ask("index_information", lambda: copied(self._kept.indexes))
        return found

    def find(
        self, query: Mapping[str, Any] | None = None, projection: Mapping[str, Any] | None = None
    ) -> "SimulatedCursor":
        return SimulatedCursor(self, self._kept, stored(query or {}), projection)

    async def find_one(
        self, query: Mapping[str, Any] | None = None, projection: Mapping[str, Any] | None = None
    ) -> Document | None:
        found = await self.find(query, projection).limit(1).to_list(None, operation="find_one")
        return found[0] if found else None

    async def count_documents(self, query: Mapping[str, Any]) -> int:
        wanted = stored(query)
        count: int = await self.ask("count_documents", lambda: len(self._kept.matching(wanted)))
        return count

    async def find_one_and_update(
        self,
        query: Mapping[str, Any],
        update: Mapping[str, Any],
        *,
        return_document: bool = ReturnDocument.BEFORE,
    ) -> Document | None:
        wanted, change = stored(query), _updating(update)

        def taken() -> list[Document]:
            before = self._kept.matching(wanted, limit=1)
            if before:
                self._kept.change({"_id": before[0]["_id"]}, change, upsert=False)
            return [copied(self._kept.documents[d["_id"]] if return_document else d) for d in before]

        found: list[Document] = await self.ask("find_one_and_update", taken)
        return found[0] if found else None

    async def insert_one(self, document: Document) -> InsertOneResult:
        await self._write_one("insert_one", self._effect(InsertOne(document)))
        return InsertOneResult(document["_id"], acknowledged=True)

    async def insert_many(self, documents: Sequence[Document], *, ordered: bool = True) -> InsertManyResult:
        if not documents:
            raise TypeError("documents must be a non-empty list")
        kept = self._kept
        await self._write("insert_many", [partial(kept.insert, stored(d)) for d in documents], ordered=ordered)
        return InsertManyResult([d["_id"] for d in documents], acknowledged=True)

    async def update_one(
        self, query: Mapping[str, Any], update: Mapping[str, Any], *, upsert: bool = False
    ) -> UpdateResult:
        return _changed(await self._write_one("update_one", self._effect(UpdateOne(query, update, upsert=upsert))))

    async def update_many(
        self, query: Mapping[str, Any], update: Mapping[str, Any], *, upsert: bool = False
    ) -> UpdateResult:
        return _changed(await self._write_one("update_many", self._effect(UpdateMany(query, update, upsert=upsert))))

    async def replace_one(
        self, query: Mapping[str, Any], replacement: Document, *, upsert: bool = False
    ) -> UpdateResult:
        effect = self._effect(ReplaceOne(query, replacement, upsert=upsert))
        return _changed(await self._write_one("replace_one", effect))

    async def delete_one(self, query: Mapping[str, Any]) -> DeleteResult:
        counts = await self._write_one("delete_one", self._effect(DeleteOne(query)))
        return DeleteResult({"n": counts["nRemoved"]}, acknowledged=True)

    async def delete_many(self, query: Mapping[str, Any]) -> DeleteResult:
        counts = await self._write_one("delete_many", self._effect(DeleteMany(query)))
        return DeleteResult({"n": counts["nRemoved"]}, acknowledged=True)

    async def bulk_write(self, requests: Sequence[Request], *, ordered: bool = True) -> BulkWriteResult:
        if not requests:
            raise InvalidOperation("No operations to execute")
        counts = await self._write("bulk_write", [self._effect(r) for r in requests], ordered=ordered)
        return BulkWriteResult(counts, acknowledged=True)

    def _effect(self, request: Request) -> Effect:
        # Encoded now, as the driver does, so that what the caller changes meanwhile makes no difference.
        if isinstance(request, InsertOne):
            return partial(self._kept.insert, stored(request._doc))
        query, many = stored(request._filter), isinstance(request, UpdateMany | DeleteMany)
        if isinstance(request, DeleteOne | DeleteMany):
            return partial(self._kept.delete, query, many=many)
        change = _replacing(request._doc) if isinstance(request, ReplaceOne) else _updating(request._doc)
        return partial(self._kept.change, query, change, upsert=bool(request._upsert), many=many)

    async def _write(self, operation: str, effects: Sequence[Effect], *, ordered: bool) -> Document:
        """Counts and errors of a bulk.

        Raises:
            BulkWriteError: with them, when there are errors.
        """
        errors: list[Document] = []
        upserted: list[Document] = []
        counts = dict.fromkeys(("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved"), 0)

        def take(index: int, effect: Effect) -> None:
            if ordered and errors:
                return
            try:
                done = effect()
            except WriteError as error:
                about = error.details or {"code": error.code, "errmsg": str(error)}
                errors.append({**about, "index": index})
                return
            for name, value in done.items():
                if name == "upserted":
                    upserted.append({"index": index, "_id": value})
                else:
                    counts[name] += value

        steps = [partial(take, index, effect) for index, effect in enumerate(effects)]
        await self._carrier.call(f"{self._name}.{operation}", steps)
        result = {"writeErrors": errors, "writeConcernErrors": [], **counts, "upserted": upserted}
        if errors:
            raise BulkWriteError(result)
        return result

    async def _write_one(self, operation: str, effect: Effect) -> Document:
        try:
            return await self._write(operation, [effect], ordered=True)
        except BulkWriteError as refusal:
            (about,) = refusal.details["writeErrors"]
            kind = DuplicateKeyError if about["code"] == DUPLICATE_KEY else WriteError
            raise kind(about["errmsg"], about["code"], about) from None


class SimulatedCursor:
    """What was found. It is read in one step, when it is first asked for a document."""

    def __init__(
        self, collection: SimulatedCollection, kept: Kept, query: Document, projection: Mapping[str, Any] | None
    ) -> None:
        self._collection = collection
        self._kept = kept
        self._query = query
        self._projection = projection
        self._order: Sequence[tuple[str, int]] = ()
        self._limit = 0

    def sort(self, fields: str | Sequence[tuple[str, int]], direction: int = 1) -> "SimulatedCursor":
        self._order = [(fields, direction)] if isinstance(fields, str) else fields
        return self

    def limit(self, count: int) -> "SimulatedCursor":
        self._limit = count
        return self

    async def to_list(self, length: int | None = None, *, operation: str = "find") -> list[Document]:
        found: list[Document] = await self._collection.ask(operation, self._read)
        return found[:length]

    async def __aiter__(self) -> AsyncIterator[Document]:
        for document in await self.to_list():
            yield document

    def _read(self) -> list[Document]:
        found = self._kept.matching(self._query, limit=0 if self._order else self._limit)
        for path, direction in reversed(self._order):
            found.sort(key=partial(first_key, path=path), reverse=direction < 0)
        return [*map(projector(self._projection), found[: self._limit or None])] if found else []


def _updating(update: Mapping[str, Any]) -> Change:
    if next(iter(update), "")[:1] != "$":
        validate_ok_for_update(update)  # It says what is wrong, and takes its time.
    return updater(stored(update))


def _replacing(replacement: Mapping[str, Any]) -> Change:
    validate_ok_for_replace(replacement)
    new = stored(replacement)
    return lambda document, *, is_new=False: {"_id": document.get("_id", new.get("_id"))} | new


def _changed(counts: Document) -> UpdateResult:
    raw = {"n": counts["nMatched"] + counts["nUpserted"], "nModified": counts["nModified"]}
    return UpdateResult(
        raw | ({"upserted": counts["upserted"][0]["_id"]} if counts["upserted"] else {}), acknowledged=True
    )
