from tests.peers.report import Comparison, Row, page, plain, table

RATES = Comparison(
    title="The job",
    unit="jobs/s",
    rows=(
        Row("Amends", (300.0, 90.0, 310.0), beside=("nothing is lost",), ours=True),
        Row("slow", (100.0, 101.0, 20.0), beside=("much is",), aim=3),
        Row("slower than hoped", (150.0,), beside=("much is",), aim=3),
        Row("fast", (600.0,), beside=("everything is",), aim=1),
    ),
    columns=("When it is killed",),
    fairness="""
        One paragraph.

        Another.
    """,
)


def test_each_peer_is_compared_with_the_median_of_amends():
    """A peer's row says how many times better Amends is by the medians, and whether that was the aim."""
    rows = table(RATES)
    assert rows[3] == "| slow | 100 | 20.0 - 101 | 3.00 times better | >= 3: yes | much is |"
    assert rows[4] == "| slower than hoped | 150 | 150 - 150 | 2.00 times better | >= 3: **no** | much is |"


def test_a_peer_that_wins_is_said_to_win():
    """Where Amends is worse, the row says so and by how much."""
    row = "| fast | 600 | 600 - 600 | **worse: the peer is 2.00 times better** | >= 1: **no** | everything is |"
    assert table(RATES)[5] == row


def test_times_are_better_when_they_are_shorter():
    """Of durations the smaller one wins."""
    peer = Row("peer", (30.0,))
    durations = Comparison("t", "us", (Row("Amends", (2.0,), ours=True), peer), "", less_is_better=True)
    assert durations.times_better(peer) == 15


def test_the_page_shows_facts_tables_and_what_was_done_for_fairness():
    """Everything that a reader needs to doubt a figure stands beside it."""
    lines = page([RATES], facts=["Made today."]).splitlines()
    assert lines[:5] == ["# Side by side with others", "", "Made today.", "", "## The job"]
    assert lines[-3:] == ["One paragraph.", "", "Another."]
    assert set(table(RATES)) < set(lines)


def test_a_program_reads_every_round():
    """The plain form keeps the rounds behind each median."""
    (comparison,) = plain([RATES])
    assert comparison["rows"][1] == {
        "name": "slow", "rounds": (100.0, 101.0, 20.0), "median": 100.0, "ours": False, "times_better": 3.0, "aim": 3,
    }  # fmt: skip
