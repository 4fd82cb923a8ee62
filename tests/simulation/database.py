"""The database of the simulation: in memory, shaped like motor as far as the stores of `services` use it.

`Store` holds what is kept, once for all processes. Each process has a `SimulatedDatabase` of its own on it, whose every
operation goes through that process's `Carrier`: there the simulation puts latency, lost answers and half-done bulks.
Nothing depends on time, chance or the hash of a text. An index with a time to live is kept, but deletes nothing.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from pymongo.common import validate_ok_for_replace, validate_ok_for_update
from pymongo.errors import BulkWriteError, DuplicateKeyError, InvalidOperation, WriteError
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from tests.simulation.documents import (
    Change,
    Document,
    Key,
    copied,
    first_key,
    key,
    keys,
    operators,
    projector,
    seed,
    stored,
    tests,
    updater,
)

_DUPLICATE_KEY: Final = 11000
_IMMUTABLE_FIELD: Final = 66
_RANGES: Final = {"$gt", "$gte", "$lt", "$lte"}

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
        self._collections: defaultdict[str, _Kept] = defaultdict(_Kept)

    def database(self, carrier: Carrier | None = None) -> "SimulatedDatabase":
        """As one process sees it."""
        return SimulatedDatabase(self, carrier or Direct())

    def collection(self, name: str) -> "_Kept":
        """One of them, which is there from the first time that it is named."""
        return self._collections[name]

    def snapshot(self) -> dict[str, list[Document]]:
        """Copies of all documents by collection, in the order in which they were inserted."""
        return {name: [copied(d) for d in kept.documents.values()] for name, kept in self._collections.items()}


class _Field:
    """An index over one field: which documents have which value."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._ids: dict[Key, dict[Any, None]] = {}
        self._ordered: list[Key] = []
        self._has_arrays = False

    def add(self, document: Document) -> None:
        at = keys(document, self.path)
        self._has_arrays |= len(at) > 1
        for value in at:
            if value not in self._ids:
                self._ids[value] = {}
                insort(self._ordered, value)
            self._ids[value][document["_id"]] = None

    def remove(self, document: Document) -> None:
        for value in keys(document, self.path):
            if value in self._ids:
                self._ids[value].pop(document["_id"], None)
                if not self._ids[value]:
                    del self._ids[value]
                    del self._ordered[bisect_left(self._ordered, value)]

    def move(self, before: Document, after: Document) -> None:
        if before.get(self.path) != after.get(self.path) or "." in self.path:
            self.remove(before)
            self.add(after)

    def ids(self, condition: Any) -> list[Any] | None:
        """The documents that meet a condition, in the order of their values; None when the index cannot say."""
        wanted = operators(condition)
        names = wanted.keys()
        if names == {"$eq"}:
            return [*self._ids.get(key(wanted["$eq"]), ())]
        if names == {"$in"}:
            values = sorted({key(v) for v in wanted["$in"]} & self._ids.keys())
        elif names <= _RANGES and not self._has_arrays:
            values = self._between(wanted)
        else:
            return None
        return [*dict.fromkeys(id_ for value in values for id_ in self._ids[value])]

    def _between(self, wanted: Document) -> list[Key]:
        begin, end = 0, len(self._ordered)
        for name, bound in wanted.items():
            at = key(bound)
            find = bisect_right if name in {"$gt", "$lte"} else bisect_left
            place = find(self._ordered, at)
            first, last = bisect_left(self._ordered, (at[0],)), bisect_left(self._ordered, (at[0] + 1,))
            begin, end = (
                max(begin, place if name in {"$gt", "$gte"} else first),
                min(end, place if name in {"$lt", "$lte"} else last),
            )
        return self._ordered[begin:end]


class _Unique:
    """An index that lets no two documents have the same values."""

    def __init__(self, name: str, paths: Sequence[str], *, sparse: bool) -> None:
        self.name = name
        self._paths = paths
        self._sparse = sparse
        self._holders: dict[tuple[Key, ...], Any] = {}

    def check(self, document: Document) -> None:
        at = self._at(document)
        if at is not None and self._holders.get(at, document["_id"]) != document["_id"]:
            raise _duplicate(self.name, {path: document.get(path) for path in self._paths})

    def add(self, document: Document) -> None:
        if (at := self._at(document)) is not None:
            self._holders[at] = document["_id"]

    def remove(self, document: Document) -> None:
        if (at := self._at(document)) is not None:
            del self._holders[at]

    def move(self, before: Document, after: Document) -> None:
        self.remove(before)
        self.add(after)

    def _at(self, document: Document) -> tuple[Key, ...] | None:
        if self._sparse and not any(path in document for path in self._paths):
            return None
        return tuple(first_key(document, path) for path in self._paths)


def _duplicate(index: str, values: Document) -> DuplicateKeyError:
    text = f"E11000 duplicate key error index: {index} dup key: {values}"
    pattern = dict.fromkeys(values, 1)
    details = {"index": 0, "code": _DUPLICATE_KEY, "errmsg": text, "keyPattern": pattern, "keyValue": values}
    return DuplicateKeyError(text, _DUPLICATE_KEY, details)


class _Kept:
    """The documents of one collection and its indexes. A document is never changed, but put in the place of another."""

    def __init__(self) -> None:
        self.documents: dict[Any, Document] = {}
        self.indexes: dict[str, Document] = {"_id_": {"v": 2, "key": [("_id", 1)]}}
        self._fields: dict[str, _Field] = {}
        self._uniques: list[_Unique] = []
        self._indexes: list[_Field | _Unique] = []

    def create_index(self, fields: Sequence[tuple[str, int]], options: Mapping[str, Any]) -> str:
        name = "_".join(f"{path}_{direction}" for path, direction in fields)
        if name not in self.indexes:
            if options.get("unique"):
                unique = _Unique(name, [path for path, _ in fields], sparse=options.get("sparse", False))
                for document in self.documents.values():
                    unique.check(document)
                    unique.add(document)
                self._uniques.append(unique)
            for path, _ in fields:
                if path not in self._fields:
                    self._fields[path] = _Field(path)
                    for document in self.documents.values():
                        self._fields[path].add(document)
            self._indexes = [*self._fields.values(), *self._uniques]
            self.indexes[name] = {"v": 2, "key": list(fields), **options}
        return name

    def insert(self, document: Document) -> Mapping[str, Any]:
        if document["_id"] in self.documents:
            raise _duplicate("_id_", {"_id": document["_id"]})
        for unique in self._uniques:
            unique.check(document)
        self.documents[document["_id"]] = document
        for index in self._indexes:
            index.add(document)
        return {"nInserted": 1}

    def change(self, query: Document, change: Change, *, upsert: bool, many: bool = False) -> Mapping[str, Any]:
        matched = self.matching(query, limit=0 if many else 1)
        if not matched and upsert:
            new = change(seed(query), is_new=True)
            self.insert(new)
            return {"nUpserted": 1, "upserted": new["_id"]}
        modified = sum(self._replace(before, change(before)) for before in matched)
        return {"nMatched": len(matched), "nModified": modified}

    def _replace(self, before: Document, after: Document) -> bool:
        if before["_id"] != after["_id"]:
            raise WriteError("the (immutable) field '_id' was found to have been altered", _IMMUTABLE_FIELD)
        for unique in self._uniques:
            unique.check(after)
        self.documents[before["_id"]] = after
        for index in self._indexes:
            index.move(before, after)
        return before != after

    def delete(self, query: Document, *, many: bool) -> Mapping[str, Any]:
        matched = self.matching(query, limit=0 if many else 1)
        for document in matched:
            del self.documents[document["_id"]]
            for index in self._indexes:
                index.remove(document)
        return {"nRemoved": len(matched)}

    def matching(self, query: Document, *, limit: int = 0) -> list[Document]:
        """As they are kept, not copies; in the order of the index that tells most, else of insertion."""
        path, ids = self._narrowed(query)
        if ids is None:
            candidates: Iterable[Document] = self.documents.values()
        else:
            candidates = [self.documents[id_] for id_ in ids]
        rest = {p: c for p, c in query.items() if p != path}
        for holds in tests(rest) if candidates else ():
            candidates = [d for d in candidates if holds(d)]
        return list(candidates)[: limit or None]

    def _narrowed(self, query: Document) -> tuple[str | None, Iterable[Any] | None]:
        if "_id" in query:
            wanted = operators(query["_id"])
            if wanted.keys() == {"$eq"}:
                return "_id", [wanted["$eq"]] if wanted["$eq"] in self.documents else []
            if wanted.keys() == {"$in"}:
                return "_id", sorted(self.documents.keys() & set(wanted["$in"]), key=key)
        best: tuple[str | None, list[Any] | None] = (None, None)
        for path, condition in query.items():
            if path in self._fields and (ids := self._fields[path].ids(condition)) is not None:
                if best[1] is None or len(ids) < len(best[1]):
                    best = (path, ids)
                if not ids:
                    break
        return best


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

    def __init__(self, name: str, kept: _Kept, carrier: Carrier) -> None:
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
            kind = DuplicateKeyError if about["code"] == _DUPLICATE_KEY else WriteError
            raise kind(about["errmsg"], about["code"], about) from None


class SimulatedCursor:
    """What was found. It is read in one step, when it is first asked for a document."""

    def __init__(
        self, collection: SimulatedCollection, kept: _Kept, query: Document, projection: Mapping[str, Any] | None
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
            found.sort(key=lambda d, path=path: first_key(d, path), reverse=direction < 0)
        return [*map(projector(self._projection), found[: self._limit or None])] if found else []


def _updating(update: Mapping[str, Any]) -> Change:
    validate_ok_for_update(update)
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
