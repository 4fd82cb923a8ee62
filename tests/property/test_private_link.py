"""Private links open one ticket to whoever was given them, and nothing else."""

import string
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.private_link import VALID_FOR, LinkHolder, LinkRefused, make, read

KEYS = (b"1" * 32, b"2" * 32)
MOMENTS = st.integers(1_577_836_800, 3_786_912_000).map(lambda s: datetime.fromtimestamp(s + 0.5, UTC))
ALPHABET = string.ascii_letters + string.digits + "-_=."
HOLDER = LinkHolder(uuid4(), uuid4(), datetime(2026, 11, 22, 2, 0, tzinfo=UTC))
TOKEN = make(ticket_id=HOLDER.ticket_id, complaint_id=HOLDER.complaint_id, at=HOLDER.made_at, keys=KEYS)


@given(ticket=st.uuids(), complaint=st.uuids(), at=MOMENTS)
def test_a_token_is_read_as_it_was_made(ticket, complaint, at):
    """By the second, until its time is over; also after the keys were rotated."""
    token = make(ticket_id=ticket, complaint_id=complaint, at=at, keys=KEYS[:1])
    made_at = at.replace(microsecond=0)
    assert read(token, KEYS, at) == LinkHolder(ticket, complaint, made_at)
    with pytest.raises(LinkRefused, match="expired"):
        read(token, KEYS, made_at + VALID_FOR)
    with pytest.raises(LinkRefused, match="signature"):
        read(token, KEYS[1:], at)
    assert len(token) < 100


@given(place=st.integers(0, len(TOKEN) * 8 - 1))
def test_no_flipped_bit_opens_anything(place):
    """Not one bit of it may differ, not even where base64 would read the same bytes."""
    changed = bytearray(TOKEN.encode())
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(LinkRefused):
        read(changed.decode("latin-1"), KEYS, HOLDER.made_at)


@given(place=st.integers(0, len(TOKEN)), cut=st.integers(0, 3), put=st.text(ALPHABET, max_size=3))
def test_no_other_spelling_opens_anything(place, cut, put):
    """Characters that are added, taken away or replaced make it another token."""
    changed = TOKEN[:place] + put + TOKEN[place + cut :]
    if changed == TOKEN:
        assert read(changed, KEYS, HOLDER.made_at) == HOLDER
        return
    with pytest.raises(LinkRefused):
        read(changed, KEYS, HOLDER.made_at)


@given(token=st.one_of(st.text(max_size=300), st.text(ALPHABET, max_size=300)))
def test_whatever_is_brought_is_refused_or_read(token):
    """Nothing that a stranger writes is an error of ours."""
    with pytest.raises(LinkRefused):
        read(token, KEYS, HOLDER.made_at + timedelta(days=1))
