"""Messages of every published type, made from what their models say of their fields."""

import types
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from schemas.commands import Share, ShareLiability
from schemas.message import Message

YEARS = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001  # the zone is drawn, too
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
"""Whole minutes: finer ones cannot be written in JSON."""
INTEGERS_TO = 2**53
"""What JSON can carry everywhere."""


def messages(model: type[Message]) -> st.SearchStrategy[Any]:
    """Any message of that type."""
    return _of_model(model)


def _of_model(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: _values(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    if model is ShareLiability:  # of distinct units, and of the whole
        fields["shares"] = _shares()
    if "sub" in fields:  # of its category alone; none fits every one
        fields["sub"] = st.none()
    required = {name: fields[name] for name, field in model.model_fields.items() if field.is_required()}
    optional = {name: fields[name] for name in fields if name not in required}  # in their order: a run can be repeated
    given = st.fixed_dictionaries(required, optional=optional)
    return given.map(lambda values: model(**values))


@st.composite
def _shares(draw: st.DrawFn) -> tuple[Share, ...]:
    units = draw(st.lists(st.text(min_size=1, max_size=40), min_size=2, max_size=4, unique=True))
    cuts = draw(st.lists(st.integers(1, 99), min_size=len(units) - 1, max_size=len(units) - 1, unique=True))
    return tuple(
        Share(unit=unit, percent=end - start)
        for unit, (start, end) in zip(units, pairwise([0, *sorted(cuts), 100]), strict=True)
    )


def _values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911  # a table of kinds
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(inner[0], [*metadata, *inner[1:]])
    if origin in (Union, types.UnionType):
        return st.one_of([_values(one, metadata) for one in inner])
    if origin is tuple:
        least = max((rule.min_length for rule in _flat(metadata) if isinstance(rule, MinLen)), default=0)
        return st.lists(_values(inner[0], []), min_size=least, max_size=least + 3).map(tuple)
    if origin is Literal:
        return st.sampled_from(inner)
    if annotation is type(None):
        return st.none()
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if issubclass(annotation, BaseModel):
        return _of_model(annotation)
    return _plain(annotation, _flat(metadata))


def _flat(metadata: list[Any]) -> list[Any]:
    return [rule for one in metadata for rule in (one.metadata if isinstance(one, FieldInfo) else [one])]


def _plain(kind: Any, rules: list[Any]) -> st.SearchStrategy[Any]:
    pattern = next((rule.pattern for rule in rules if getattr(rule, "pattern", None)), None)
    strings = [rule for rule in rules if isinstance(rule, StringConstraints)]
    least = max(
        [rule.min_length for rule in rules if isinstance(rule, MinLen)] + [s.min_length or 0 for s in strings] + [0]
    )
    most = min(
        [rule.max_length for rule in rules if isinstance(rule, MaxLen)] + [s.max_length or 40 for s in strings] + [40]
    )
    low = max(
        [rule.ge for rule in rules if isinstance(rule, Ge)]
        + [rule.gt + 1 for rule in rules if isinstance(rule, Gt)]
        + [-INTEGERS_TO]
    )
    high = min(
        [rule.le for rule in rules if isinstance(rule, Le)]
        + [rule.lt - 1 for rule in rules if isinstance(rule, Lt)]
        + [INTEGERS_TO]
    )
    if kind is str:
        if pattern is not None:
            return st.from_regex(pattern, fullmatch=True).filter(
                lambda text: least <= len(text) <= most and "\n" not in text
            )
        return st.text(min_size=least, max_size=most)
    if kind is AwareDatetime:
        return st.datetimes(*YEARS, timezones=OFFSETS)
    if kind is date:
        return st.dates()
    return {
        int: st.integers(low, high),
        bool: st.booleans(),
        float: st.floats(max(low, 0.0), 1.0),
        bytes: st.binary(max_size=40),
        UUID: st.uuids(),
        Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12),
    }[kind]
