"""What is said to complainants of a command, before it is given."""

from datetime import timedelta
from typing import Any

import pytest

from schemas import commands as c
from schemas import events as e
from schemas.codes import Channel, DeliveryChannel, Language, TicketState
from schemas.message import Part
from schemas.notes import Note
from schemas.sealed import MaskedContact
from schemas.ticket import fold
from services.desk.previewing import Seen, Told, as_told, seen, told
from services.wording.occasions import occasion
from tests.unit.desk.stories import RECEIVED, Story
from tests.unit.desk.test_wording import ACTIONS
from tests.unit.desk.web_scene import TEMPLATES, money

SMS, EMAIL = DeliveryChannel.SMS, DeliveryChannel.EMAIL
BOTH = MaskedContact(phone="138****1234", email="l***@example.com")


def shown(story: Story, action: Part, **given: Any) -> Seen:
    """What would be read an hour after receipt."""
    row = story.row()
    known = {"words": "", "portal": "", "link": "", "now": RECEIVED + timedelta(hours=1), **given}
    found = seen(TEMPLATES, action, ticket=fold(story.events), events=story.events, clocks=row.clocks, **known)
    assert found
    return found


@pytest.mark.parametrize(
    ("channel", "masked", "ways"),
    [
        (Channel.WEB, BOTH, [SMS, EMAIL]),
        (Channel.EMAIL, BOTH, [EMAIL, SMS]),
        (Channel.WEB, MaskedContact(email="l***@example.com"), [EMAIL]),
        (Channel.IM, MaskedContact(), []),
    ],
)
def test_it_goes_by_the_ways_of_the_notifier(
    channel: Channel, masked: MaskedContact, ways: list[DeliveryChannel]
) -> None:
    """The one that was used first, in its order; to nobody who left no way."""
    story = Story(opened={"channel": channel, "masked": masked})
    assert [one.channel for one in shown(story, c.Resolve()).messages] == ways


def test_links_count_and_are_not_shown() -> None:
    """A real link takes its parts of the SMS; what is shown opens nothing."""
    portal = "https://a-rather-long-name.of-a-network.example/complaints"
    (with_link,) = shown(Story(), c.Answer(), portal=portal, link="[link]").messages
    (without,) = shown(Story(), c.Answer()).messages
    assert with_link.parts > without.parts
    assert "[link]" in with_link.text
    assert "https://" not in with_link.text


def test_what_the_ticket_knows_is_said() -> None:
    """The time of the resolution while it is ahead, and the amount that was offered last."""
    story = Story()
    assert "11月28日10:00" in shown(story, c.Answer(remedy="refund")).messages[0].text
    late = shown(story, c.Answer(remedy="refund"), now=RECEIVED + timedelta(days=9))
    assert "11月28日" not in late.messages[0].text
    story.tell(e.TicketAnswered, TicketState.ANSWERED, 1, remedy="refund", amount=money("25.50"))
    assert "25.50" in shown(story, c.Resolve(outcome="refunded")).messages[0].text
    story.tell(e.TicketReopened, TicketState.IN_REVIEW, 2, before=TicketState.ANSWERED, received_at=RECEIVED)
    assert "25.50" not in shown(story, c.Resolve(outcome="refunded")).messages[0].text


def test_approving_says_what_was_proposed_and_accepting_that_it_is_settled() -> None:
    """The event that is told is another than the command is called."""
    story = Story()
    proposed = {"command": "answer", "remedy": "refund", "amount": money("900"), "chain": ("supervisor",)}
    story.tell(e.TicketApprovalRequested, TicketState.INVESTIGATING, 1, **proposed)
    assert as_told(c.Approve(), fold(story.events)) == c.Answer(remedy="refund", amount=money("900"))
    story.tell(e.TicketAnswered, TicketState.ANSWERED, 2)
    assert as_told(c.Accept(), fold(story.events)) == c.Resolve(outcome="accepted")
    assert as_told(c.Close(), fold(story.events)) == c.Close()


def test_the_message_is_shown_in_the_language_that_was_chosen() -> None:
    """As the notifier will write it, not in that of the complaint."""
    story = Story()
    story.tell(e.TicketLanguageChosen, TicketState.INVESTIGATING, 1, language=Language.EN)
    seen_now = shown(story, c.Resolve(outcome="refunded"))
    assert seen_now.language is Language.EN
    assert "is settled" in seen_now.messages[0].text


def test_an_answer_that_stands_is_shown_with_what_it_offered() -> None:
    """As the decision will tell it."""
    story = Story()
    story.tell(e.TicketAnswered, TicketState.ANSWERED, 1, remedy="refund", amount=money("25.50"))
    assert "25.50" in shown(story, c.DecideAppeal(changed=False)).messages[0].text
    assert "25.50" not in shown(story, c.DecideAppeal(changed=True, remedy="apology")).messages[0].text


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_a_command_with_an_occasion_has_a_preview(name: str) -> None:
    """Whatever the notifier tells by itself is not said to be told never."""
    if occasion(ACTIONS[name].model_construct(tier="agent", changed=False)) is not None:
        assert told(name) in {Told.ALWAYS, Told.ONCE_APPROVED}


def test_words_of_a_person_are_in_it() -> None:
    """As far as an SMS has room for them, whole in a letter."""
    note = Note(for_customer="我们" * 100)
    messages = shown(Story(opened={"masked": BOTH}), c.Apologise(tier="agent"), words=note.for_customer).messages
    assert note.for_customer in messages[1].text
    assert note.for_customer not in messages[0].text
    assert "我们我们" in messages[0].text
