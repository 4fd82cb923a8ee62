"""What MongoDB means by a filter, an update, an order and a projection, as functions of documents.

Documents are as BSON gives them back, see `stored`. What no store of ours uses is refused with `NotImplementedError`
rather than guessed. Source: the manual of MongoDB, "BSON Types: Comparison/Sort Order" and "Query an Array".
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from pymongo.errors import WriteError

Document = dict[str, Any]
Key = tuple[int, Any]
"""Of a value: equal, and in order, where MongoDB says so; can be hashed."""
Test = Callable[[Document], bool]
Change = Callable[..., Document]
"""Makes a new document of an old one; `is_new` says that an upsert found none."""

_OPTIONS: Final[CodecOptions[Document]] = CodecOptions(
    tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)  # as `services.runtime.mongo` connects
_RANKS: Final = {int: 2, Int64: 2, float: 2, str: 3, bytes: 6, UUID: 7, bool: 9, datetime: 10}
_UNCHANGED: Final = {str, float, bool, type(None), bytes, UUID}
_NOTHING: Final[Key] = (1, 0)
_CANNOT_CREATE_FIELD: Final = 28
_TYPE_MISMATCH: Final = 14


def stored(document: Mapping[str, Any]) -> Document:
    """What the database gives back of it: times in whole milliseconds of UTC, lists for tuples, texts for StrEnums.

    The same as encoding to BSON and decoding again, but for the rare types ten times as fast.
    """
    return {
        name if type(name) is str else _stored_name(name): value if type(value) is str else _stored(value)
        for name, value in document.items()
    }


def _stored_name(name: Any) -> str:
    return next(iter(bson.decode(bson.encode({name: None}))))


def _stored(value: Any) -> Any:
    kind = type(value)
    if kind in _UNCHANGED or (kind is int and -(2**31) <= value < 2**31):
        return value
    if kind is dict:
        return stored(value)
    if kind is list or kind is tuple:
        return [v if type(v) is str else _stored(v) for v in value]
    if kind is int:
        return Int64(value)
    if kind is datetime and value.tzinfo is UTC:
        inside = value.microsecond % 1000
        return value.replace(microsecond=value.microsecond - inside) if inside else value
    return bson.decode(bson.encode({"": value}, codec_options=_OPTIONS), codec_options=_OPTIONS)[""]


def copied(document: Document) -> Document:
    """The same, sharing nothing that can be changed."""
    copy = document.copy()
    for name, value in document.items():
        kind = type(value)
        if kind is dict:
            copy[name] = copied(value)
        elif kind is list:
            copy[name] = _copied_list(value)
    return copy


def _copied_list(values: list[Any]) -> list[Any]:
    return [copied(v) if type(v) is dict else _copied_list(v) if type(v) is list else v for v in values]


def key(value: Any) -> Key:
    """How a value compares: first by its type, then by itself; True is not 1, but 1.0 is."""
    kind = type(value)
    if kind is str:
        return 3, value
    if value is None:
        return _NOTHING
    if kind is dict:
        return 4, tuple((of[0], name, of[1]) for name, of in ((name, key(v)) for name, v in value.items()))
    if kind is list:
        return 5, tuple(map(key, value))
    return _RANKS[kind], value


def found(value: Any, path: str) -> list[Any]:
    """Every value that a condition on `path` looks at: an array's elements and itself; empty when there is none."""
    name, dot, rest = path.partition(".")
    if type(value) is list:
        reached = [at for element in value if type(element) is dict for at in found(element, path)]
        if name.isdigit() and int(name) < len(value):
            reached += found(value[int(name)], rest) if dot else _with_elements(value[int(name)])
        return reached
    if type(value) is not dict or name not in value:
        return []
    return found(value[name], rest) if dot else _with_elements(value[name])


def _with_elements(value: Any) -> list[Any]:
    return [*value, value] if type(value) is list else [value]


def keys(document: Document, path: str) -> list[Key]:
    """Keys of what is found at `path`; what is missing counts as null."""
    value = document.get(path)
    if value is None or type(value) is list:
        return [key(v) for v in found(document, path)] or [_NOTHING]
    return [key(value)]  # mostly so, and quickly told


def first_key(document: Document, path: str) -> Key:
    """By which a document is sorted."""
    at = keys(document, path)
    if len(at) > 1:
        raise NotImplementedError(f"sorting by the array {path}")
    return at[0]


def _equals(value: Any, path: str) -> Test:
    wanted = key(value)
    return lambda document: wanted in keys(document, path)


def _is_in(values: Iterable[Any], path: str) -> Test:
    wanted = {key(v) for v in values}
    return lambda document: not wanted.isdisjoint(keys(document, path))


def _compares(compare: Callable[[Any, Any], bool]) -> Callable[[Any, str], Test]:
    def made(value: Any, path: str) -> Test:
        rank, bound = key(value)
        # Only values of one type are compared: a time is neither before nor after null.
        return lambda document: True in [compare(at, bound) for of, at in keys(document, path) if of == rank]

    return made


def _not(made: Callable[[Any, str], Test]) -> Callable[[Any, str], Test]:
    def negated(value: Any, path: str) -> Test:
        holds = made(value, path)
        return lambda document: not holds(document)

    return negated


def _exists(wanted: Any, path: str) -> Test:
    return lambda document: bool(found(document, path)) is bool(wanted)


def _begins(pattern: Any, path: str) -> Test:
    if not pattern.startswith("^"):
        raise NotImplementedError(f"the pattern {pattern}, which no index finds")
    begins = re.compile(pattern)
    return lambda document: any(type(v) is str and begins.match(v) is not None for v in found(document, path))


_CONDITIONS: Final[dict[str, Callable[[Any, str], Test]]] = {
    "$eq": _equals,
    "$ne": _not(_equals),
    "$in": _is_in,
    "$nin": _not(_is_in),
    "$gt": _compares(operator.gt),
    "$gte": _compares(operator.ge),
    "$lt": _compares(operator.lt),
    "$lte": _compares(operator.le),
    "$exists": _exists,
    "$regex": _begins,
}


def operators(condition: Any) -> Document:
    """A condition on a field by its operators; a plain value is `$eq`."""
    if type(condition) is dict and condition and next(iter(condition))[:1] == "$":
        return condition
    return {"$eq": condition}


def tests(query: Mapping[str, Any]) -> list[Test]:
    """What a document must pass to match a filter."""
    made: list[Test] = []
    for path, condition in query.items():
        if path in {"$or", "$and"}:
            made.append(_joined(any if path == "$or" else all, [tests(branch) for branch in condition]))
            continue
        for name, value in operators(condition).items():
            if path.startswith("$") or name not in _CONDITIONS:
                raise NotImplementedError(f"the condition {path}: {name}")
            made.append(_CONDITIONS[name](value, path))
    return made


def _joined(by: Callable[[Iterable[bool]], bool], branches: list[list[Test]]) -> Test:
    return lambda document: by(all(holds(document) for holds in branch) for branch in branches)


def updater(update: Mapping[str, Any]) -> Change:
    """Makes the document that an update by operators makes of another, which stays as it is and shares parts with it.

    Raises:
        WriteError: when it is used, and a value that is there does not allow it.
    """
    if unknown := update.keys() - _CHANGES.keys():
        raise NotImplementedError(f"the update operators {unknown}")
    changes = [
        (name == "$setOnInsert", _CHANGES[name], path.split("."), value)
        for name, paths in update.items()
        for path, value in paths.items()
    ]

    def change(document: Document, *, is_new: bool = False) -> Document:
        after = document.copy()
        for only_new, make, names, value in changes:
            if is_new or not only_new:
                place: Any = after
                for name in names[:-1]:
                    place = _opened(place, name)
                make(place, names[-1], value)
        return after

    return change


def _opened(place: Any, name: str) -> Any:
    """A copy of what is at `name`, put in its place; a new document where nothing is."""
    if type(place) is dict:
        inner = place.get(name, {})
    elif name.isdigit():
        inner = place[int(name)] if int(name) < len(place) else {}
    else:
        inner = None
    if type(inner) not in {dict, list}:
        raise WriteError(f"Cannot create a field of {name} in {inner!r}", _CANNOT_CREATE_FIELD)
    inner = inner.copy()
    _set(place, name, inner)
    return inner


def _set(place: Any, name: str, value: Any) -> None:
    if type(place) is dict:
        place[name] = value
        return
    if not name.isdigit():
        raise WriteError(f"Cannot create the field {name} in an array", _CANNOT_CREATE_FIELD)
    place.extend([None] * (int(name) + 1 - len(place)))
    place[int(name)] = value


def _unset(place: Any, name: str, _: Any) -> None:
    if type(place) is dict:
        place.pop(name, None)
    elif name.isdigit() and int(name) < len(place):
        place[int(name)] = None


def _increase(place: Any, name: str, by: Any) -> None:
    if type(place) is not dict:
        raise NotImplementedError("$inc in an array")
    before = place.get(name, 0)
    if key(before)[0] != _RANKS[int]:
        raise WriteError(f"Cannot apply $inc to {name}: {before!r}", _TYPE_MISMATCH)
    place[name] = before + by


_CHANGES: Final[dict[str, Callable[[Any, str, Any], None]]] = {
    "$set": _set,
    "$setOnInsert": _set,
    "$unset": _unset,
    "$inc": _increase,
}


def seed(query: Mapping[str, Any]) -> Document:
    """What an upsert that found nothing begins with: the values that the filter demands."""
    equal = {path: ops["$eq"] for path, c in query.items() if path[0] != "$" and "$eq" in (ops := operators(c))}
    return updater({"$set": equal})({})


def projector(projection: Mapping[str, Any] | None) -> Callable[[Document], Document]:
    """Makes copies of documents with the fields that are asked for."""
    if not projection:
        return copied
    if any("." in name for name in projection):
        raise NotImplementedError("projecting inside of a field")
    named = {name for name, shown in projection.items() if shown}
    if named - {"_id"} or (named and len(projection) == 1):
        shown = named | ({"_id"} if projection.get("_id", 1) else set())
        return lambda document: copied({name: v for name, v in document.items() if name in shown})
    return lambda document: copied({name: v for name, v in document.items() if name not in projection})
