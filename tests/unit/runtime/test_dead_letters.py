"""What a dead letter keeps, and what goes back."""

from datetime import UTC, datetime

import pytest

from services.runtime.dead_letters import Original, Why, dead_letter, reasons, replayed
from services.runtime.letters import Letter, Remembered
from services.runtime.producing import MESSAGE_BYTES_MAX, size_of

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ORIGINAL = Original("ticket-event", 3, 17, b"key", b'{"a":1}', [("ce_type", b"x"), ("traceparent", b"00-1")])


def _failure() -> Exception:
    try:
        {}["13800138000"]
    except KeyError as error:
        return error
    raise AssertionError


def test_a_dead_letter_keeps_the_original_and_says_why_and_where() -> None:
    """Key, bytes and headers untouched; the exception by kind and place only."""
    letter = dead_letter(
        ORIGINAL, consumer="amends-router", why=Why.FAILED, reason="the handler failed", error=_failure(), at=AT
    )
    assert (letter.topic, letter.key, letter.value) == ("ticket-event-dlq", b"key", b'{"a":1}')
    assert letter.headers[:2] == ORIGINAL.headers
    told = reasons(letter.headers)
    assert told["exception"].startswith("KeyError at test_dead_letters.py:")
    assert "13800138000" not in str(letter)
    assert (told["consumer"], told["partition"], told["offset"]) == ("amends-router", "3", "17")
    assert told["at"] == "2026-03-01T08:00:00+00:00"


def test_a_replayed_letter_is_the_original_with_one_header_more() -> None:
    """And a letter that fails again tells only of its last failure."""
    letter = dead_letter(ORIGINAL, consumer="amends-router", why=Why.REFUSED, reason="closed", error=None, at=AT)
    back = replayed(Original(letter.topic, 3, 0, letter.key, letter.value, letter.headers), at=AT)
    assert (back.topic, back.key, back.value) == ("ticket-event", b"key", b'{"a":1}')
    assert back.headers == [*ORIGINAL.headers, ("dl_replayed", b"2026-03-01T08:00:00+00:00")]


def test_what_is_no_dead_letter_is_not_replayed() -> None:
    """It does not say where it belongs."""
    with pytest.raises(ValueError, match="dl_topic"):
        replayed(ORIGINAL, at=AT)


def test_one_that_is_too_large_is_kept_in_part_and_says_where_all_of_it_is() -> None:
    """What came compressed may be larger than any message of ours: it must not stop who sets it aside."""
    large = ORIGINAL._replace(value=b"x" * 3_000_000, headers=[("ce_type", b"x" * 100_000)])
    letter = dead_letter(large, consumer="amends-router", why=Why.UNDECODABLE, reason="large", error=None, at=AT)
    assert MESSAGE_BYTES_MAX - 100 < size_of(letter) <= MESSAGE_BYTES_MAX
    assert reasons(letter.headers)["cut"] == "3000000"
    kept = Original(letter.topic, 3, 0, letter.key, letter.value, letter.headers)
    assert Letter(kept, at=AT, was_replayed=False).home == ""
    with pytest.raises(ValueError, match="ticket-event/3/17"):
        replayed(kept, at=AT)


def test_replayed_letters_are_remembered_one_by_one_and_across_runs() -> None:
    """Below the floor all, beyond it those that were named."""
    known = Remembered(0, "")
    for offset in (4, 0, 2, 1):
        known.add(offset)
    again = Remembered(known.floor, known.metadata)
    assert [offset in again for offset in range(6)] == [True, True, True, False, True, False]
    again.add(3)
    assert (again.floor, again.metadata) == (5, "")
