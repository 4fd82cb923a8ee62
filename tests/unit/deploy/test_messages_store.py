"""What the sandbox remembers."""

from pathlib import Path

import pytest

from deploy.local.sandbox.messages_store import MessagesStore, Receipt, Submission
from deploy.local.sandbox.segment import Segment


@pytest.fixture
def store(tmp_path: Path) -> MessagesStore:
    """An empty one."""
    return MessagesStore(tmp_path / "messages.sqlite")


def submission(
    id_: str, *, to: str = "+8613800001111", out_id: str = "n-1", receipt: Receipt = Receipt.NONE
) -> Submission:
    """One accepted segment."""
    return Submission(
        id=id_, system_id="amends", source="1069", destination=to.lstrip("+"), to=to, data_coding=8, out_id=out_id,
        receipt=receipt, submitted_at=0,
    )  # fmt: skip


def test_joins_segments_in_any_order(store: MessagesStore) -> None:
    """A text is listed once, whole, when its last segment has come; a character may be cut in two."""
    octets = "件丢了😀".encode("utf-16-be")
    for number in (3, 1):
        store.add_submission(submission(f"s{number}"), Segment(octets[(number - 1) * 4 : number * 4], 7, 3, number))
        assert store.messages() == []
    store.add_submission(submission("s2"), Segment(octets[4:8], 7, 3, 2))
    assert [(message.text, message.parts, message.out_id) for message in store.messages()] == [
        ("件丢了😀"[:4], 3, "n-1")
    ]


def test_a_segment_sent_twice_counts_once_and_a_reference_may_come_again(store: MessagesStore) -> None:
    """A repeated segment neither completes a text nor disturbs the next one with the same reference."""
    for id_, number in (("a", 1), ("b", 1), ("c", 2), ("d", 1), ("e", 2)):
        store.add_submission(submission(id_), Segment(b"\x00" + str(number).encode(), 7, 2, number))
    assert [message.text for message in store.messages()] == ["12", "12"]


@pytest.mark.parametrize("asked", ["13800001111", "8613800001111", "+8613800001111"])
@pytest.mark.parametrize("sent", ["13800001111", "+8613800001111"])
def test_finds_a_number_with_and_without_its_country(store: MessagesStore, sent: str, asked: str) -> None:
    """`to` may be written either way."""
    store.add_submission(submission("a", to=sent), Segment(b"\x00a"))
    store.add_submission(submission("b", to="+8613800001112"), Segment(b"\x00b"))
    assert [message.id for message in store.messages(to=asked)] == ["a"]


def test_lists_a_double_twice(store: MessagesStore) -> None:
    """The sandbox hides no message that a customer would see."""
    for id_ in "ab":
        store.add_submission(submission(id_), Segment(b"\x00a"))
    assert len(store.messages(out_id="n-1")) == 2


def test_a_receipt_is_that_of_the_worst_segment(store: MessagesStore) -> None:
    """A message is delivered when all its segments are."""
    for id_, number in (("a", 1), ("b", 2)):
        store.add_submission(submission(id_, receipt=Receipt.PENDING), Segment(b"\x00a", 1, 2, number))
    store.set_receipt("a", Receipt.DELIVERED)
    assert store.messages()[0].receipt is Receipt.PENDING
    store.set_receipt("b", Receipt.DELIVERED)
    assert store.messages()[0].receipt is Receipt.DELIVERED


async def test_opened_again_knows_messages_and_owed_receipts(store: MessagesStore, tmp_path: Path) -> None:
    """A second process on the same file sees what the first, never closed, has written."""
    store.add_submission(submission("a", receipt=Receipt.PENDING), Segment(b"\x00a"))
    store.add_email(to="a@b.example", sender="c@d.example", subject="s", text="t", out_id="n-2")
    await store.kept()
    again = MessagesStore(tmp_path / "messages.sqlite")
    assert [message.channel for message in again.messages()] == ["sms", "email"]
    assert [owed.id for owed in again.owed_receipts()] == ["a"]
    assert again.counts() == {"sms": 1, "email": 1}


def test_filters_and_pages(store: MessagesStore) -> None:
    """By channel, and by offset and limit in the order of arrival."""
    for number in range(5):
        store.add_email(to="a@b.example", sender="c@d.example", subject=str(number), text="", out_id="")
    assert [message.subject for message in store.messages(offset=1, limit=2)] == ["1", "2"]
    assert store.messages(channel="sms") == []
    store.clear()
    assert store.messages() == []
