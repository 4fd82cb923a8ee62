"""What would be sent, before it is."""

from decimal import Decimal
from uuid import uuid4

import pytest

from schemas import commands as c
from schemas.codes import ApologyTier, DeliveryChannel, Language, Moment
from schemas.complaint import Money
from schemas.events import TicketAnswered
from schemas.message import Part
from services.wording.occasions import occasion
from services.wording.preview import preview, takes_words
from services.wording.signature import Signature
from services.wording.templates import Rendered, Saying, Templates
from tests.unit.notifier.tickets import NOON

TEMPLATES = Templates.load(Signature(sender={Language.ZH: "快递客户服务", Language.EN: "Parcel Customer Care"}))
ANSWER = c.Answer(remedy="refund", amount=Money(amount=Decimal("12.50")))


def shown(action: Part, channel: DeliveryChannel = DeliveryChannel.SMS, **given: object) -> Rendered | None:
    return preview(
        TEMPLATES,
        action,
        channel,
        **{"number": "2611-0042175", "language": Language.ZH, "time_zone": "Asia/Shanghai", **given},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (ANSWER, "answered.sms.zh"),
        (c.Resolve(outcome="refunded"), "resolved.sms.zh"),
        (c.WaitForCustomer(what="photos"), "asked_for_more.sms.zh"),
        (c.DecideAppeal(changed=False), "appeal_decided.sms.zh"),
        (c.Appeal(), "appeal_received.sms.zh"),
        (c.Apologise(tier=ApologyTier.SUPERVISOR), "apology.sms.zh"),
        (c.RequestSurvey(), "survey.sms.zh"),
        (c.StartReview(), None),
        (c.Close(), None),
    ],
)
def test_a_command_shows_the_message_that_it_leads_to(action: Part, expected: str | None) -> None:
    """Or none, where nobody would be told."""
    rendered = shown(action)
    assert (rendered.template if rendered else None) == expected


def test_it_is_the_text_that_is_sent() -> None:
    """Word for word that of the event, in every channel, with what is known of the ticket."""
    said = occasion(
        TicketAnswered.model_construct(remedy="refund", amount=Money(amount=Decimal("12.50")), event_id=uuid4())
    )
    assert said is not None
    facts = {"number": "2611-0042175", "resolve_by": NOON, **said[1]}
    sending = Saying(Moment.ANSWERED, Language.ZH, "Asia/Shanghai", facts, words="说明", link="https://x.example/c/t")
    for channel in (DeliveryChannel.SMS, DeliveryChannel.EMAIL):
        seen = shown(
            ANSWER, channel, known={"resolve_by": NOON}, words="说明", link="https://x.example/c/t", name="王小明"
        )
        assert seen == TEMPLATES.render(sending, channel, name="王小明")


def test_what_the_ticket_knows_gives_way_to_what_the_command_says() -> None:
    """The amount of a resolution is the ticket's; that of an answer its own."""
    known = {"amount": "99.00 CNY", "attempt": 2}
    assert "¥99.00" in (shown(c.Resolve(outcome="refunded"), known=known) or Rendered("", "")).text
    assert "¥12.50" in (shown(ANSWER, known=known) or Rendered("", "")).text
    assert "再次打扰" in (shown(c.RequestSurvey(), known=known) or Rendered("", "")).text


def test_words_are_asked_for_where_they_are_read() -> None:
    """A confirmation has no place for them, an apology has."""
    assert takes_words(Moment.APOLOGY)
    assert not takes_words(Moment.RECEIVED)
