"""Private links, whatever they are made for and whatever becomes of them on their way."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from services.runtime.private_link import (
    GENERATIONS_MAX,
    TOKEN_CHARS,
    VALID,
    PrivateLink,
    PrivateLinks,
    Unusable,
)

LINKS = PrivateLinks(b"k" * 32)
AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
TOKEN = LINKS.make(UUID(int=7), UUID(int=8), AT)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # aware


@given(st.uuids(), st.uuids(), moments, st.integers(0, GENERATIONS_MAX), st.timedeltas(timedelta(0), 2 * VALID))
def test_it_is_read_as_it_was_made_until_its_time_is_over(ticket, complaint, at, generation, age):
    """By the second."""
    made_at = at.replace(microsecond=0)
    read = LINKS.read(LINKS.make(ticket, complaint, at, generation=generation), made_at + age)
    if age >= VALID:
        assert read is Unusable.EXPIRED
        return
    assert isinstance(read, PrivateLink)
    assert (read.ticket, read.generation, read.made_at) == (ticket, generation, made_at)
    assert read.is_of(complaint)


@given(st.integers(0, TOKEN_CHARS), st.integers(0, 3), st.text(max_size=3))
def test_no_other_spelling_opens_anything(place, cut, put):
    """Characters that are added, taken away or replaced make it another token."""
    changed = TOKEN[:place] + put + TOKEN[place + cut :]
    assume(changed.ljust(TOKEN_CHARS, "-") != TOKEN)
    assert LINKS.read(changed, AT) is Unusable.INVALID
