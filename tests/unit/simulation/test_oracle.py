"""The judge of simulated runs finds nothing in a right history, and each wrong in a wrong one."""

from tests.simulation.oracle import timeline, violations
from tests.unit.simulation.told import COMPLAINT, TICKET, right


def test_a_right_history_has_no_violations():
    """What is as it must be is not complained of."""
    assert violations(right().history) == []


def test_the_timeline_of_a_complaint_tells_its_ticket_and_messages():
    """From the id of any of them everything that belongs to the ticket is told."""
    told = timeline(right().history, COMPLAINT)
    assert all(word in told for word in ("answer 202", "ticket.opened", "sla.breached", "arrived sms", "tickets: "))
    assert timeline(right().history, TICKET).count("\n") == told.count("\n")
