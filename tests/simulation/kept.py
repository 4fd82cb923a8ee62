"""One collection of the simulated database: documents and indexes. Synchronous, and knows nothing of processes."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo.errors import DuplicateKeyError, WriteError

from services.runtime.mongo import DUPLICATE_KEY
from tests.simulation.documents import Change, Document, Key, first_key, key, keys, operators, seed, tests

_IMMUTABLE_FIELD: Final = 66
_RANGES: Final = {"$gt", "$gte", "$lt", "$lte"}


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
    details = {"index": 0, "code": DUPLICATE_KEY, "errmsg": text, "keyPattern": pattern, "keyValue": values}
    return DuplicateKeyError(text, DUPLICATE_KEY, details)


class Kept:
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
