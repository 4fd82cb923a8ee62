"""What is measured again takes the place of what was measured before, and nothing else changes."""

from services.cli.bench.app import page

ALL = page(
    {"classifier": {"us_per_text": 250.0}, "desk": {"queue_p95_ms": 90.0}, "rest": {"mb": 1.0}}, paces_ms=[20, 30]
)


def test_a_part_that_is_measured_alone_leaves_the_others_as_they_are() -> None:
    """In its old place, with the day and the pace of the machine."""
    after = page({"desk": {"queue_p95_ms": 250.0}}, paces_ms=[25.0], written=ALL)
    old, new = ALL.splitlines(), after.splitlines()
    assert [line for line in new if not line.startswith("| desk")] == [
        line for line in old if not line.startswith("| desk")
    ]
    mine = [line for line in new if line.startswith("| desk")]
    assert len(mine) == 2
    assert mine[0].endswith("| 250.0 | <= 200 | **no** |")
    assert mine[1].endswith("at a pace of 25 ms | | |")
    assert new.index(mine[0]) == old.index(next(line for line in old if line.startswith("| desk")))


def test_a_part_that_was_never_measured_gets_its_place() -> None:
    """In the order in which parts are measured."""
    after = page({"calendar": {"us_per_due_time": 3.0}}, paces_ms=[25.0], written=ALL).splitlines()
    parts = [line.split(" | ")[0] for line in after if line.startswith("| ") and not line.startswith("| Part")]
    assert parts == ["| classifier", "| calendar", "| calendar", "| desk", "| rest"]
