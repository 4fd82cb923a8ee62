"""Documents of the simulated database against BSON itself."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.documents import copied, key, stored

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)


class Clock(StrEnum):
    """A text with a name."""

    FIRST_ANSWER = "first_answer"


TIMES = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]),
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(alphabet="aZ名 ", max_size=5)
    | st.binary(max_size=5)
    | st.uuids()
    | TIMES
    | st.just(Clock.FIRST_ANSWER)
)
NAMES = st.sampled_from(["a", "b", "名", Clock.FIRST_ANSWER])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS, lambda of: st.lists(of, max_size=3) | st.tuples(of) | st.dictionaries(NAMES, of), max_leaves=8
    ),
)


def typed(value: Any) -> Any:
    """A value with the types of all its parts, so that True is not 1."""
    if isinstance(value, dict):
        return type(value), [(type(name), name, typed(v)) for name, v in value.items()]
    return (type(value), [typed(v) for v in value]) if isinstance(value, list) else (type(value), value)


@settings(deadline=None)
@given(DOCUMENTS)
def test_what_is_stored_is_what_bson_gives_back(document: dict[str, Any]) -> None:
    """In value, type and order; a copy of it is the same again."""
    expected = bson.decode(bson.encode(document, codec_options=OPTIONS), codec_options=OPTIONS)
    assert typed(stored(document)) == typed(expected)
    assert typed(copied(stored(document))) == typed(expected)


@settings(deadline=None)
@given(st.lists(DOCUMENTS, min_size=2, max_size=2))
def test_keys_tell_documents_apart(pair: list[dict[str, Any]]) -> None:
    """As their types and values do, and give any two of them an order."""
    one, other = map(stored, pair)
    assert (key(one) == key(other)) or typed(one) != typed(other)
    assert (key(one) < key(other)) + (key(one) == key(other)) + (key(one) > key(other)) == 1
