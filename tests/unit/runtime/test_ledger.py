"""The ledger decides what may be committed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.ledger import Delivery, Ledger, Place

HERE = Place("topic", 0)


@pytest.fixture
def ledger() -> Ledger:
    """One partition from offset 30, with an end of 33."""
    made = Ledger()
    made.assign(starts={HERE: 30}, ends={HERE: 33})
    return made


def test_the_smallest_unfinished_offset_is_committed(ledger: Ledger) -> None:
    """With 31 in flight nothing after it is committed."""
    for offset in (30, 31, 32, 33):
        assert ledger.deliver(HERE, offset) is Delivery.TAKE
    for offset in (30, 32, 33):
        ledger.finish(HERE, offset)
    assert ledger.committable() == {HERE: 31}
    ledger.finish(HERE, 31)
    assert ledger.committable() == {HERE: 34}


def test_a_commit_counts_only_when_the_broker_has_confirmed_it(ledger: Ledger) -> None:
    """Until then it is to be done."""
    ledger.deliver(HERE, 30)
    ledger.finish(HERE, 30)
    assert ledger.committable() == ledger.committable() == {HERE: 31}
    ledger.committed({HERE: 31})
    assert ledger.committable() == {}


def test_a_gap_is_read_again_and_believed_the_second_time(ledger: Ledger) -> None:
    """What retention deleted does not come again either, and then reading goes on."""
    assert ledger.deliver(HERE, 30) is Delivery.TAKE
    assert ledger.deliver(HERE, 33) is Delivery.REREAD
    assert ledger.deliver(HERE, 34) is Delivery.DROP
    assert ledger.next_offsets() == {HERE: 31}
    assert ledger.deliver(HERE, 33) is Delivery.TAKE
    assert ledger.deliver(HERE, 34) is Delivery.TAKE


def test_what_was_lost_in_a_gap_arrives_when_read_again(ledger: Ledger) -> None:
    """In order, each once."""
    assert ledger.deliver(HERE, 32) is Delivery.REREAD
    assert [ledger.deliver(HERE, offset) for offset in (33, 30, 31, 32, 33, 33)] == [
        Delivery.DROP,
        *[Delivery.TAKE] * 4,
        Delivery.DROP,
    ]


def test_more_that_is_deleted_while_a_gap_is_read_again_is_believed_then(ledger: Ledger) -> None:
    """Retention goes on meanwhile; the partition does, too."""
    assert ledger.deliver(HERE, 33) is Delivery.REREAD
    assert [ledger.deliver(HERE, offset) for offset in (34, 35)] == [Delivery.DROP] * 2
    assert ledger.deliver(HERE, 40) is Delivery.REREAD
    assert ledger.deliver(HERE, 41) is Delivery.DROP
    assert [ledger.deliver(HERE, offset) for offset in (40, 41)] == [Delivery.TAKE] * 2


def test_what_is_no_record_is_passed_over(ledger: Ledger) -> None:
    """A transaction ends with a marker that takes an offset; what is in hand is still to be finished."""
    ledger.assign(starts={HERE: 30}, ends={HERE: 32})
    ledger.deliver(HERE, 30)
    ledger.skip(HERE, 32)
    assert not ledger.caught_up(0)
    ledger.finish(HERE, 30)
    assert ledger.caught_up(0)
    assert ledger.committable() == {HERE: 32}
    assert ledger.deliver(HERE, 32) is Delivery.TAKE


def test_caught_up_needs_everything_before_the_end_finished_in_every_topic(ledger: Ledger) -> None:
    """Delivered is not enough, and a partition that is not owned never is."""
    other = Place("other", 0)
    ledger.assign(starts={HERE: 30, other: 5}, ends={HERE: 31, other: 5})
    assert not ledger.caught_up(0)
    ledger.deliver(HERE, 30)
    assert not ledger.caught_up(0)
    ledger.finish(HERE, 30)
    assert ledger.caught_up(0)
    assert not ledger.caught_up(1)
    ledger.clear()
    assert not ledger.caught_up(0)


def test_a_partition_that_was_given_up_is_ignored(ledger: Ledger) -> None:
    """A late finish has no effect."""
    ledger.deliver(HERE, 30)
    ledger.clear()
    ledger.finish(HERE, 30)
    assert ledger.deliver(HERE, 31) is Delivery.DROP
    assert ledger.committable() == {}


@given(st.permutations(range(12)), st.integers(0, 12))
def test_in_whatever_order_they_finish_nothing_unfinished_is_before_the_commit(order: list[int], count: int) -> None:
    """The offset is exactly the smallest unfinished."""
    ledger = Ledger()
    ledger.assign(starts={HERE: 0}, ends={HERE: 12})
    for offset in range(12):
        ledger.deliver(HERE, offset)
    for offset in order[:count]:
        ledger.finish(HERE, offset)
    assert ledger.positions()[HERE] == min(set(range(12)) - set(order[:count]), default=12)
