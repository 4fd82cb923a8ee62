from datetime import UTC, datetime, timedelta

from services.desk.board import Standing, standings

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def test_each_open_ticket_is_counted_once() -> None:
    """As broken when a clock was or is over, else as soon due within the hour, else as in time."""
    tickets = [
        ("hubs", NOW + timedelta(days=1), True),
        ("hubs", NOW - timedelta(seconds=1), False),
        ("hubs", NOW + timedelta(hours=1), False),
        ("hubs", NOW + timedelta(hours=2), False),
        ("hubs", None, False),
        (None, NOW + timedelta(minutes=1), False),
    ]
    assert standings(tickets, now=NOW) == [Standing("", 0, 1, 0), Standing("hubs", 2, 1, 2)]
    assert [one.open for one in standings(tickets, now=NOW)] == [1, 5]
