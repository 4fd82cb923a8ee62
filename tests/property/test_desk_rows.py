"""Whatever way the three topics are read, the desk lists the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import ClockState
from schemas.message import Message
from services.desk.clock_row import whole_ms
from services.desk.row import OPEN_STATES, Row
from tests.unit.desk.stories import LATER, TICKET, Story, folded

STEPS = st.lists(
    st.tuples(
        st.sampled_from([*LATER, "deliver", "pass"]),
        st.floats(0.1, 3000),
        st.booleans(),
    ),
    max_size=8,
)


def told(steps: list[tuple[str, float, bool]]) -> Story:
    """A story of these steps; one that is `late` is dated half an hour back, behind what has passed meanwhile."""
    story, now = Story(), 0.0
    for name, after, is_late in steps:
        now += after
        at = max(0.0, now - 30.0) if is_late else now
        if name == "pass":
            story.pass_until(now)
        elif name == "deliver":
            if not story.messages:
                story.deliver(at)
        else:
            story.step(name, at)
    story.pass_until(now)
    return story


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_and_redelivery_make_no_difference(data: st.DataObject) -> None:
    """Facts and events of messages come in any order and again; ticket events in theirs, and again from anywhere."""
    story = told(data.draw(STEPS))
    wanted = story.row()
    loose: list[Message] = [*story.facts, *story.messages]
    doubled = [*loose, *data.draw(st.lists(st.sampled_from(loose), max_size=6))]
    events: list[Message] = list(story.events)
    again = data.draw(st.integers(0, len(events)))
    stream = data.draw(st.permutations(doubled))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), min_size=len(events), max_size=len(events))))
    for place, event in reversed(list(zip(places, events, strict=True))):
        stream.insert(place, event)
    assert folded([*stream, *events[again:]]) == wanted


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_clocks_are_listed_as_they_are_kept(steps: list[tuple[str, float, bool]]) -> None:
    """State and due time of every cycle are those that the SLA monitor itself has, after corrections, too."""
    story = told(steps)
    assert story.sla
    listed = {(c.clock, c.cycle): c for c in story.row().clocks}
    for cycle in story.sla.cycles:
        clock = listed.pop((cycle.clock, cycle.number))
        assert clock.state(TICKET) is cycle.state, (cycle.clock, cycle.number)
        if cycle.state in OPEN_STATES and not clock.is_paused:
            assert cycle.due_at
            assert clock.due_at == whole_ms(cycle.due_at)
        if cycle.state is ClockState.PAUSED:
            assert clock.is_paused
    assert not listed


def test_facts_alone_make_a_row_that_is_not_listed() -> None:
    """What is known of a ticket before its opening waits for it."""
    story = Story()
    early = folded(story.facts)
    assert (early.version, early.number) == (0, "")
    assert early.clocks
    assert folded(story.events, row=early) == story.row()
    assert Row(id=TICKET) != early
