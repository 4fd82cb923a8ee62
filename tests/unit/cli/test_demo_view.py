"""The demonstration's board, fed by records as the topics have them."""

from typing import Any
from uuid import UUID, uuid4

from rich.console import Console

from services.cli.demo_view import Board

DUE = "2026-11-23T02:00:00+00:00"


def opened(board: Board, number: str) -> UUID:
    """A ticket with one clock that runs."""
    ticket = uuid4()
    told: dict[str, Any] = {"ticket_id": str(ticket), "routing_key": "k", "number": number, "language": "zh"}
    board.saw("ticket-event", "amends.ticket.opened.v1", told)
    board.saw("sla-event", "amends.sla.started.v1", {**told, "clock": "resolution", "due_at": DUE})
    return ticket


def shown(board: Board) -> str:
    """The screen as text."""
    console = Console(width=160, height=50)
    with console.capture() as captured:
        console.print(board.render())
    return captured.get()


def test_tickets_that_are_due_at_one_moment_stand_side_by_side() -> None:
    """Nothing but the time says which is first."""
    board = Board()
    for number in ("2611-000001", "2611-000002"):
        opened(board, number)
    assert shown(board).count("resolution") == 2


def test_a_clock_that_has_ended_is_not_shown() -> None:
    """Nor one of a ticket with which nothing is to be done any more."""
    board = Board()
    first, second = opened(board, "2611-000001"), opened(board, "2611-000002")
    board.saw("sla-event", "amends.sla.met.v1", {"ticket_id": str(first), "clock": "resolution"})
    assert "2611-000001" not in shown(board)
    board.saw("ticket-event", "amends.ticket.closed.v1", {"ticket_id": str(second), "state": "closed"})
    assert "2611-000002" not in shown(board)
