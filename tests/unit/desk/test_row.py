from datetime import timedelta

from schemas.codes import Clock, Severity, TicketState
from schemas.events import TicketAssigned, TicketEvent, TicketFollowedUp
from services.desk.queue import EVERYTHING, Scope
from services.desk.row import Row, fold, gap
from services.desk.telling import clocks_told, event_told, messages_told, row_told
from tests.unit.desk.stories import RECEIVED, TICKET, Story, folded


def test_an_opened_ticket_is_listed() -> None:
    """What the first events say is on the row, and which clock is due next."""
    row = Story().row()
    assert (row.number, row.state, row.version) == ("2611-000017", TicketState.INVESTIGATING, 3)
    assert (row.category, row.sub, row.department, row.units, row.person) == (
        "delay",
        "transit",
        "hubs",
        ("HUB-01",),
        "p1",
    )
    assert row.next_due == (RECEIVED + timedelta(minutes=15), Clock.ACKNOWLEDGE)
    assert row.last_change
    assert row.last_change.type == "assigned"


def test_what_is_overdue_stays_due_until_it_is_done() -> None:
    """It stands before all that can still be kept, and stays where it stood when it was broken."""
    story = Story()
    story.pass_until(16)
    kept = story.row().next_due
    assert kept
    story.pass_until((kept[0] - RECEIVED) // timedelta(minutes=1) + 1)
    row = story.row()
    assert kept[1] in row.breached
    assert row.next_due == kept


def test_a_late_acknowledgement_is_due_no_more() -> None:
    """Nobody can do anything about it; that it was broken is named."""
    story = Story()
    story.pass_until(16)
    row = story.row()
    assert row.breached == (Clock.ACKNOWLEDGE,)
    assert row.next_due
    assert row.next_due[1] is not Clock.ACKNOWLEDGE


def test_a_receipt_that_comes_late_takes_the_breach_back() -> None:
    """The delivery was in time, whatever was told before it was known."""
    story = Story()
    story.pass_until(16)
    story.deliver(5)
    row = story.row()
    assert row.breached == ()
    assert messages_told(row) == {"received": "delivered"}


def test_a_kind_of_event_that_is_not_known_moves_the_row() -> None:
    """State, version and last change follow from what every event has."""

    class TicketAppealed(TicketEvent):
        TYPE = "amends.ticket.appealed"

    story = Story()
    known = story.events[-1].model_dump(include=set(TicketEvent.model_fields)) | {"sequence": 4, "state": "closed"}
    row = fold(story.row(), TicketAppealed.model_validate(known))
    assert (row.version, row.state, row.is_open) == (4, TicketState.CLOSED, False)
    assert row.last_change
    assert row.last_change.type == "appealed"


def test_a_gap_is_seen() -> None:
    """An event whose predecessors are missing is one; the next one is not, nor is one that was taken."""
    events = Story().events
    assert gap(Row(id=TICKET), events[1])
    assert not gap(Row(id=TICKET), events[0])
    assert not gap(folded(events), events[0])


def test_repeats_and_reopening() -> None:
    """A follow-up counts and flags; a changed severity stays when the matter is classified again."""
    story = Story()
    story.step("worse", 1)
    story.tell(
        TicketFollowedUp, TicketState.INVESTIGATING, 2, complaint_id=TICKET, channel="web", received_at=RECEIVED,
        contact_ref=TICKET, masked={}, matched_by="waybill", repeats=1, flags=("repeated",),
    )  # fmt: skip
    row = story.row()
    assert (row.repeats, row.severity) == (1, Severity.CRITICAL)
    assert "repeated" in row.flags
    assert isinstance(story.events[2], TicketAssigned)


def test_who_may_not_see_the_complainant_is_not_told() -> None:
    """Neither by the row nor by the trail; digests are told nobody."""
    story, outlet = Story(), Scope(units=frozenset({"HUB-01"}), sees_complainant=False)
    assert "contact" not in row_told(story.row(), outlet)
    assert row_told(story.row(), EVERYTHING)["contact"]["phone"] == "138****1234"
    assert not {"masked", "contact_ref", "contact_index"} & event_told(story.events[0], outlet).keys()
    assert "contact_index" not in event_told(story.events[0], EVERYTHING)


def test_a_clocks_past_is_told() -> None:
    """Warnings, breach and escalations, in their order."""
    story = Story()
    story.pass_until(16)
    (told,) = [c for c in clocks_told(story.row(), only_open=False) if c["clock"] == "acknowledge"]
    assert [passed["what"] for passed in told["passed"]] == ["warned", "warned", "breached"]
    assert told["is_breached"]
