"""The link to a complainant's own page."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.runtime.private_link import TOKEN_CHARS, VALID, PrivateLink, PrivateLinks, Unusable, sample, url

KEY = bytes(range(32))
LINKS = PrivateLinks(KEY)
TICKET, COMPLAINT = uuid4(), uuid4()
AT = datetime(2026, 11, 23, 4, 0, 0, 250_000, tzinfo=UTC)
TOKEN = LINKS.make(TICKET, COMPLAINT, AT, generation=3)


def test_it_says_what_it_was_made_for() -> None:
    """Ticket, complaint, generation, and the second."""
    link = LINKS.read(TOKEN, AT)
    assert isinstance(link, PrivateLink)
    assert (link.ticket, link.generation, link.made_at) == (TICKET, 3, AT.replace(microsecond=0))
    assert link.is_of(COMPLAINT)
    assert not link.is_of(uuid4())


def test_the_same_gives_the_same_and_anything_else_another() -> None:
    """A message that is sent again carries the same link."""
    assert LINKS.make(TICKET, COMPLAINT, AT, generation=3) == TOKEN
    others = {
        LINKS.make(uuid4(), COMPLAINT, AT, generation=3),
        LINKS.make(TICKET, uuid4(), AT, generation=3),
        LINKS.make(TICKET, COMPLAINT, AT, generation=4),
        LINKS.make(TICKET, COMPLAINT, AT + timedelta(seconds=1), generation=3),
        PrivateLinks(bytes(32)).make(TICKET, COMPLAINT, AT, generation=3),
    }
    assert len(others | {TOKEN}) == 6


def test_it_has_room_in_an_sms() -> None:
    """The whole address, with a domain of a usual length; what a preview shows is as long."""
    assert len(TOKEN) == TOKEN_CHARS
    whole = url("https://complaints.example.com/", TOKEN)
    assert whole == f"https://complaints.example.com/t/{TOKEN}"
    assert len(whole) < 90
    assert len(sample("https://complaints.example.com/")) == len(whole)
    assert url("", TOKEN) == sample("") == ""


def test_it_expires_by_its_own_time() -> None:
    """Ninety days after what it was sent for."""
    begun = AT.replace(microsecond=0)
    assert isinstance(LINKS.read(TOKEN, begun + VALID - timedelta(seconds=1)), PrivateLink)
    assert LINKS.read(TOKEN, begun + VALID) is Unusable.EXPIRED


def test_no_altered_link_opens_anything() -> None:
    """Whichever character is another, and whichever key signed."""
    for place, character in enumerate(TOKEN):
        for other in "A.-b":
            if other != character:
                assert LINKS.read(TOKEN[:place] + other + TOKEN[place + 1 :], AT) is Unusable.INVALID
    assert PrivateLinks(bytes(32)).read(TOKEN, AT) is Unusable.INVALID


@pytest.mark.parametrize("token", ["", ".", "-", "x" * TOKEN_CHARS, TOKEN + "a", TOKEN * 20, "é", "\ud800", "\0", "券"])
def test_anything_may_be_asked_for(token: str) -> None:
    """What is no link is refused and breaks nothing."""
    assert LINKS.read(token, AT) is Unusable.INVALID


def test_a_hyphen_that_a_telephone_left_out_is_missed_by_nobody() -> None:
    """Of links in texts some programs drop a hyphen at the end."""
    ends = (LINKS.make(TICKET, COMPLAINT, AT + timedelta(seconds=s)) for s in range(10_000))
    token = next(t for t in ends if t.endswith("-"))
    assert isinstance(LINKS.read(token.rstrip("-"), AT), PrivateLink)
