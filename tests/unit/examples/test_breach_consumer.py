"""The example for consumers keeps what stands, in whatever order and however often records come."""

import json
import sqlite3
from itertools import permutations
from types import SimpleNamespace

from examples.breach_consumer import TABLES, take


def record(topic, kind, **fact):
    fact = {"unit": "HUB-01", "department": "hubs", "clock": "acknowledge", "due_at": "d", "ticket_id": "t"} | fact
    return SimpleNamespace(
        topic=topic, value=json.dumps(fact), headers=[("ce_type", f"amends.sla.{kind}.v1".encode())], offset=0
    )


def test_a_breach_that_was_taken_back_does_not_stand_in_any_order():
    """The same ids remain, whichever topic is read first and whatever comes twice."""
    records = [
        record("sla-breached", "breached", fact_id="b1"),
        record("sla-event", "breached", fact_id="b1"),
        record("sla-event", "corrected", fact_id="c1", corrects="b1"),
        record("sla-breached", "breached", fact_id="b2"),
    ]
    for order in permutations(records):
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.executescript(TABLES)
        for one in (*order, *order):
            take(db, one)
        assert db.execute("SELECT id FROM standing").fetchall() == [("b2",)]
