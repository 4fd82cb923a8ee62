"""Where the matter of a complaint is in hand, when tickets were linked to others."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.codes import TicketState
from services.router.fate import Fate, Shown, heir

S = TicketState
COMPLAINTS = [UUID(int=n) for n in range(4)]
FATE = Fate(UUID(int=9), COMPLAINTS[0], "key-0", "waybill")


def shown(*tickets: tuple[TicketState, int | None]) -> dict[UUID, Shown]:
    """Tickets, each with its state and the number of the one that it was linked to."""
    named = [ids.ticket_id(complaint) for complaint in COMPLAINTS]
    return {
        named[n]: Shown(state, COMPLAINTS[n], f"key-{n}", None if link is None else named[link])
        for n, (state, link) in enumerate(tickets)
    }


@pytest.mark.parametrize(
    ("tickets", "found"),
    [
        ([], 0),
        ([(S.INVESTIGATING, None)], 0),
        ([(S.RESOLVED, None)], 0),
        ([(S.CLOSED, None)], None),
        ([(S.WITHDRAWN, None)], None),
        ([(S.CLOSED, 1), (S.OPENED, None)], 1),
        ([(S.CLOSED, 1), (S.RESOLVED, None)], 1),
        ([(S.CLOSED, 1), (S.CLOSED, None)], None),
        ([(S.CLOSED, 1)], None),
        ([(S.CLOSED, 1), (S.CLOSED, 2), (S.ANSWERED, None)], 2),
        ([(S.CLOSED, 1), (S.CLOSED, 0)], 0),
    ],
)
def test_the_matter_of_a_linked_ticket_is_where_it_was_linked_to(
    tickets: list[tuple[TicketState, int | None]], found: int | None
) -> None:
    """One after the other, until one that is open or settled; where all are over it is nobody's."""
    kept = heir(FATE, shown(*tickets))
    assert kept == (None if found is None else FATE._replace(opened_by=COMPLAINTS[found], routing_key=f"key-{found}"))


@given(st.lists(st.tuples(st.sampled_from(S), st.none() | st.integers(0, 3)), max_size=4))
def test_looking_for_it_comes_to_an_end_at_a_ticket_that_is_not_over(
    tickets: list[tuple[TicketState, int | None]],
) -> None:
    """However tickets are linked, in circles, too: then the first is opened again by the command on its way."""
    known = shown(*tickets)
    found = heir(FATE, known)
    if found is not None and found.ticket_id in known and known[found.ticket_id].is_over:
        assert found == FATE
        assert known[FATE.ticket_id].linked_to is not None
