"""What a seed stands for: complaints, what people do with tickets, and what goes wrong when."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from tests.simulation.aims import STEPS, WRITES
from tests.simulation.lives import life
from tests.simulation.network import Mishap
from tests.simulation.provider import Whim

SAFETY_S: Final = 8.0
"""How long complaints come and things go wrong; then everything heals."""
_WAYS: Final = ("broker", "database", "sms", "email")
_TEXTS: Final = (
    ("zh", "快件{waybill}显示已签收，可我根本没收到，请查清楚是谁签的。"),
    ("zh", "收到的时候外箱湿透，里面的茶叶全受潮了，单号{waybill}，要求赔偿。"),
    ("zh", "派送员打电话骂人，说不下来拿就扔掉。运单{waybill}"),
    ("zh", "{waybill} 在分拨中心停了五天不动，再不到就要误事了。"),
    ("en", "Parcel {waybill} has been stuck at the hub for six days, it was sold as next-day delivery."),
    ("en", "The screen in {waybill} arrived cracked and the box was crushed on one side."),
    ("en", "You charged me twice for {waybill}; I want the second charge back or I call my lawyer."),
)
_CHANNELS: Final = ("web", "phone", "wechat", "email", "counter")
_ACTIONS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "start_review"},
    {"name": "complete_review"},
    {"name": "complete_review", "severity": 4},
    {"name": "first_action"},
    {"name": "answer", "remedy": "apology"},
    {"name": "answer", "remedy": "refund"},
    {"name": "resolve", "outcome": "settled"},
    {"name": "resolve", "outcome": "settled"},
    {"name": "wait_for_customer", "what": "details"},
    {"name": "resume"},
    {"name": "resume"},
    {"name": "change_severity", "severity": 1},
    {"name": "change_severity", "severity": 3},
    {"name": "withdraw"},
    {"name": "close"},
    {"name": "assign"},
)


class Rules(StrEnum):
    """Which clocks run, and what is told of them: see `tests.simulation.made_once`."""

    ANSWERS = "answers"
    REVIEWS = "reviews"
    UNITS = "units"
    STATUTORY = "statutory"
    OWNERS = "owners"
    LATE = "late"
    """There is something to be told long after everything has healed."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One client's complaint, and when it is first sent; `again_s`: a second time, so long after."""

    at_s: float
    key: str | None
    body: dict[str, Any]
    again_s: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks of the ticket that was opened as number `ticket`, so long after it was opened."""

    ticket: int
    after_s: float
    action: dict[str, Any]
    twice: bool = False
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    `what` is `kill`, `stop`, `freeze` (a process: `where` is its place, `number` the steps until then, `for_s` how long
    it stands still or stays away), `away` (a way), `flush` (Redis), `poison` (`where` is the topic), a `Mishap`
    (`where` is a way, `number` the requests before it) or a `Whim` (`where` is a provider). With `step`, `where` is a
    service, and hit is whichever of its processes comes to this operation on the database or a provider after
    `number` others: a process `after_s` after it is answered, by a `Mishap` the operation itself.
    """

    at_s: float
    what: str
    where: str
    number: int = 0
    for_s: float = 0.0
    step: str = ""
    after_s: float = 0.0

    def __str__(self) -> str:
        detail = (f" after {self.number}" if self.number else "") + (f" for {self.for_s:.2f} s" if self.for_s else "")
        if self.step:
            detail += f" {self.after_s:.3f} s behind {self.step}" if self.what in HITS else f" at {self.step}"
        return f"{self.at_s:6.2f} s  {self.what} {self.where}{detail}"


_HIT_BY: Final = ("kill", "kill", "kill", "freeze", "freeze", "mishap", "mishap", "mishap")
HITS: Final = ("kill", "stop", "freeze")
"""What happens to a process."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a seed decides, but for the small delays of the network."""

    seed: int
    partitions: int
    workers: dict[str, int]
    sent: list[Sent]
    asked: list[Asked]
    rules: Rules
    faults: list[Fault] = field(default_factory=list)

    @property
    def places(self) -> list[str]:
        """Where processes run, e.g. `router-1`."""
        return [f"{service}-{n + 1}" for service, count in self.workers.items() for n in range(count)]


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = random.Random(f"amends {seed}")
    workers = {
        "intake": 1 + (chance.random() < 0.3),
        "router": 1 + (chance.random() < 0.5),
        "sla_monitor": 1 + (chance.random() < 0.4),
        "notifier": 1 + (chance.random() < 0.4),
    }
    is_late = workers["sla_monitor"] > 1 and chance.random() < 0.5
    sent = list(_complaints(chance))
    made = Scenario(
        seed,
        chance.choice((1, 2, 2, 3)),
        workers,
        sent,
        list(_all_asked(chance, len(sent))),
        Rules.LATE if is_late else chance.choice([rules for rules in Rules if rules is not Rules.LATE]),
    )
    # A run without faults now and then: what is wrong there is wrong by itself.
    if chance.random() < 0.95:
        faults = [*_aimed(chance, made), *_faults(chance, made)]
        if workers["router"] > 1 and chance.random() < 0.2:
            made, more = _orphaned(chance, made)
            faults += more
        made.faults.extend(sorted(faults, key=lambda fault: fault.at_s))
        made.asked.extend(_asked_unwatched(random.Random(f"unwatched {seed}"), made))
    # With a draw of its own, which leaves all others as they are.
    living = random.Random(f"life {seed}")
    if living.random() < 0.4:
        ticket = living.randrange(2)
        made.asked.extend(
            Asked(ticket, at_s, action, living.random() < 0.1, role) for at_s, (role, action) in life(living)
        )
    return _linked(random.Random(f"linked {seed}"), made)


def _linked(chance: random.Random, made: Scenario) -> Scenario:
    """Somebody sees that two tickets tell of one matter; later it comes again, by the parcel of either."""
    firsts = [one for one in made.sent if one.key and one.key.startswith("key-")]
    if len(firsts) < 2 or chance.random() >= 0.15:
        return made
    number = chance.randrange(2)
    link = Asked(number, chance.uniform(0.1, 2.0), {"name": "link_as_repeat", "to_ticket": 1 - number}, twice=True)
    again = [
        Sent(
            min(first.at_s + chance.choice((1.0, 2.5, 6.0)), SAFETY_S),
            f"linked-{place}",
            chance.choice((_again, _elsewhere))(chance, first)
            | {"complainant": _complainant(chance, len(made.sent) + place)},
        )
        for place, first in enumerate(chance.choices(firsts[:2], k=2))
    ]
    return replace(made, sent=[*made.sent, *again], asked=[*made.asked, link])


def _all_asked(chance: random.Random, tickets: int) -> Iterator[Asked]:
    """What people do: here and there, or much with one ticket at about one time."""
    if chance.random() < 0.6:
        for _ in range(chance.randint(0, 6)):
            yield from _asked(chance, chance.randrange(tickets), chance.uniform(0.0, 7.0))
        return
    ticket, at_s = chance.randrange(min(tickets, 2)), chance.choice((0.0, 0.0, chance.uniform(0.0, 5.0)))
    for _ in range(chance.randint(2, 5)):
        at_s += chance.expovariate(1 / 0.6)
        yield from _asked(chance, ticket, at_s)


def _asked(chance: random.Random, ticket: int, after_s: float) -> Iterator[Asked]:
    action = chance.choice(_ACTIONS)
    yield Asked(ticket, after_s, action, chance.random() < 0.15)
    if action["name"] == "wait_for_customer":
        yield Asked(ticket, after_s + chance.uniform(0.2, 4.0), {"name": "resume"})


def _complaints(chance: random.Random) -> Iterator[Sent]:
    made: list[Sent] = []
    # Now and then all at once, so that one batch waits while another is handled.
    begin_s, end_s = (3.0, 3.2) if chance.random() < 0.25 else (0.0, SAFETY_S * 0.6)
    for number in range(chance.choice((2, 2, 3, 3, 4))):
        at_s = chance.uniform(begin_s, end_s)
        kind = chance.random()
        if made and kind < 0.03:
            # Another complaint under a key that is in use: one of them is refused.
            earlier = chance.choice(made)
            body = {**_body(chance, number), "channel": earlier.body["channel"]}
            yield Sent(earlier.at_s + chance.choice((0.002, 0.02, 1.0)), earlier.key, body)
            continue
        if made and kind < 0.35:
            # The same matter again: by the same or another channel, at once or later.
            earlier = chance.choice(made)
            body = _again(chance, earlier) if chance.random() < 0.5 else _elsewhere(chance, earlier)
            at_s = min(earlier.at_s + chance.choice((0.0, 0.001, 0.02, 1.0, 6.0)), SAFETY_S)
            one = Sent(at_s, f"again-{number}", body)
        elif kind < 0.42:
            one = Sent(at_s, f"wrong-{number}", {"channel": "web", "description": "", "waybills": [7]})
        else:
            again_s = chance.choice((0.0, 0.005, 0.03, 2.0)) if chance.random() < 0.25 else None
            one = Sent(at_s, None if kind > 0.95 else f"key-{number}", _body(chance, number), again_s)
            made.append(one)
        yield one


def _again(chance: random.Random, earlier: Sent) -> dict[str, Any]:
    return {**earlier.body, "channel": chance.choice(_CHANNELS)}


def _elsewhere(chance: random.Random, earlier: Sent) -> dict[str, Any]:
    """The parcel is named in the text alone, so the key is another, and two routers may have the matter in hand."""
    return {name: value for name, value in _again(chance, earlier).items() if name != "waybills"}


def _body(chance: random.Random, number: int) -> dict[str, Any]:
    waybill = f"SF{chance.randrange(10**12):012d}"
    language, text = chance.choice(_TEXTS)
    return {
        "channel": chance.choice(_CHANNELS),
        "language": language,
        "complainant": _complainant(chance, number),
        "waybills": [waybill],
        "description": text.format(waybill=waybill),
    }


def _complainant(chance: random.Random, number: int) -> dict[str, str]:
    complainant: dict[str, str] = {}
    reach = chance.random()
    if reach < 0.9:
        complainant["phone"] = f"+86138{chance.randrange(10**8):08d}"
    if reach > 0.6:
        complainant["email"] = f"customer.{number}.{chance.randrange(10**6)}@example.org"
    return complainant


def _aimed(chance: random.Random, made: Scenario) -> Iterator[Fault]:
    if chance.random() < 0.8:
        yield from (_step(chance, made) for _ in range(chance.choice((1, 2, 3, 4))))
    if chance.random() < 0.15:
        yield from _outage(chance, made)
    if made.rules is Rules.LATE:
        yield _late(chance)
    if len(made.asked) > 2 and chance.random() < 0.1:
        # What is shown of a ticket comes after what was shown later.
        yield Fault(0.0, str(Mishap.LATE), "router", number=chance.randrange(3), step="tickets.bulk_write")


def _faults(chance: random.Random, made: Scenario) -> Iterator[Fault]:
    kinds: list[str] = chance.sample(
        ["process", "away", "both", "mishap", "whim", "redis", "poison"], chance.randint(1, 4)
    )
    for _ in range(chance.choice((1, 2, 3, 5, 8))):
        kind, at_s = chance.choice(kinds), chance.uniform(0.0, SAFETY_S)
        if kind == "process":
            yield _process(chance, made, _at_work(chance, made, at_s))
        elif kind == "both":
            # Somebody dies or is stopped while all wait for a part.
            away_s = chance.choice((3.0, 5.0))
            yield Fault(at_s, "away", chance.choice(("broker", "database", "database")), for_s=away_s)
            yield _process(chance, made, min(at_s + chance.uniform(0.0, away_s), SAFETY_S))
        elif kind == "away":
            yield Fault(at_s, "away", chance.choice(_WAYS), for_s=chance.choice((0.05, 0.5, 3.0, 8.0)))
        elif kind == "mishap":
            way = chance.choice((*_WAYS, "sms"))
            number = int(chance.expovariate(1.0 if way in {"sms", "email"} else 1 / 15))
            yield Fault(at_s, str(chance.choice(list(Mishap))), way, number=number)
        elif kind == "whim":
            yield Fault(at_s, str(chance.choice(list(Whim))), chance.choice(("sms", "sms", "email")))
        elif kind == "redis":
            yield chance.choice((Fault(at_s, "flush", "redis"), Fault(at_s, "away", "redis", for_s=4.0)))
        else:
            topic = chance.choice(("complaint-submitted", "ticket-command", "ticket-event", "sla-event"))
            yield Fault(at_s, "poison", topic, number=chance.randrange(len(POISON)))


def _process(chance: random.Random, made: Scenario, at_s: float) -> Fault:
    what, place = chance.choice(("kill", "kill", "kill", "stop", "freeze")), chance.choice(made.places)
    if what == "stop":
        return Fault(at_s, what, place)
    for_s = chance.choice((0.3, 2.0, 8.0, 12.0)) if what == "freeze" else 0.0
    return Fault(at_s, what, place, number=1 + int(chance.expovariate(1 / 60)), for_s=for_s)


def _step(chance: random.Random, made: Scenario) -> Fault:
    """Somebody is hit at a step of his work, or the step itself is; mostly where another may take over."""
    services = ["router", "router", "router", "sla_monitor", "sla_monitor", "notifier", "notifier", "intake"]
    several = [s for s in services if made.workers[s] > 1] if chance.random() < 0.5 else []
    service, what = chance.choice(several or services), chance.choice(_HIT_BY)
    # At once, or when what the complaint set in motion is due.
    at_s = chance.choice(made.sent).at_s + chance.choice((0.0, 0.0, chance.uniform(0.5, 4.0)))
    at_s = chance.choice((min(at_s, SAFETY_S - 0.2), chance.uniform(0.0, SAFETY_S * 0.8)))
    number = int(chance.expovariate(1.0))
    if what == "mishap":
        # Above all one that is done late, after what came in the place of it.
        mishap = chance.choice((Mishap.LATE, Mishap.LATE, Mishap.LATE, Mishap.LOST, Mishap.LOST, Mishap.PARTIAL))
        return Fault(at_s, str(mishap), service, number=number, step=chance.choice(WRITES[service]))
    # A frozen one wakes up when its partitions have long gone to another, and goes on as if nothing had been.
    for_s = chance.choice((2.0, 12.0, 16.0)) if what == "freeze" else chance.choice((0.0, 0.0, 9.0))
    after_s = chance.choice((0.0, 0.0, 0.0, 0.0, chance.uniform(0.001, 0.05), chance.uniform(0.01, 0.5)))
    return Fault(at_s, what, service, number, for_s, chance.choice(STEPS[service]), after_s)


def _orphaned(chance: random.Random, made: Scenario) -> tuple[Scenario, list[Fault]]:
    """A router falls out when it has decided to open a ticket, and the same matter comes to another meanwhile."""
    firsts = [one for one in made.sent if one.key and one.key.startswith("key-")]
    if not firsts:
        return made, []
    first = min(firsts, key=lambda one: one.at_s)
    # Twice, since a key may be the same router's: by the person, and by another or by a parcel that is named before.
    named = {"waybills": [f"SF{chance.randrange(10**12):012d}", *first.body["waybills"]]}
    another = _elsewhere(chance, first) | {"complainant": _complainant(chance, len(made.sent))}
    others = [
        Sent(first.at_s + chance.choice((0.3, 1.0, 4.0)), f"orphan-{number}", body)
        for number, body in enumerate(
            (_elsewhere(chance, first), chance.choice((_again(chance, first) | named, another)))
        )
    ]
    step = chance.choice(("complaints.insert_many", "contacts.insert_many", "numbers.find_one_and_update"))
    what, for_s = chance.choice((("kill", 9.0), ("kill", 9.0), ("freeze", 12.0)))
    fault = Fault(first.at_s, what, "router", for_s=for_s, step=step)
    return replace(made, sent=[*made.sent, *others], partitions=2), [fault]


def _outage(chance: random.Random, made: Scenario) -> Iterator[Fault]:
    """All workers of a service die and stay away, soon after a complaint."""
    service = chance.choice(("sla_monitor", "sla_monitor", "router", "notifier"))
    at_s, for_s = (
        min(chance.choice(made.sent).at_s + chance.uniform(0.1, 2.0), SAFETY_S - 0.1),
        chance.uniform(7.0, 12.0),
    )
    for place in made.places:
        if _service(place) == service:
            yield Fault(at_s, "kill", place, number=1, for_s=for_s)


def _asked_unwatched(chance: random.Random, made: Scenario) -> Iterator[Asked]:
    """While no SLA monitor runs, what was due is made void."""
    if any(f.for_s and not f.step and f.at_s < SAFETY_S and f.where == "sla_monitor-1" for f in made.faults):
        for ticket in range(2):
            yield Asked(ticket, chance.uniform(1.0, 6.0), {"name": "resolve", "outcome": "settled"})


def _late(chance: random.Random) -> Fault:
    """Long after all else, when deadlines still come: one of two who fire them. The other is to do it in time."""
    at_s, what = SAFETY_S + 12.5 + chance.expovariate(1 / 4), chance.choice(("kill", "freeze"))
    if chance.random() < 0.5:
        return Fault(at_s, what, "sla_monitor", for_s=10.0, step=chance.choice(STEPS["sla_monitor"]))
    place = chance.choice(("sla_monitor-1", "sla_monitor-2"))
    return Fault(at_s, what, place, number=1 + int(chance.expovariate(1 / 10)), for_s=10.0)


def _service(place: str) -> str:
    return place.rpartition("-")[0]


def _at_work(chance: random.Random, made: Scenario, at_s: float) -> float:
    """Mostly a time at which there is something to do: shortly after a complaint."""
    if chance.random() < 0.4:
        return at_s
    return min(chance.choice(made.sent).at_s + chance.expovariate(1 / 0.2), SAFETY_S)


POISON: Final[tuple[tuple[list[tuple[str, bytes]], bytes | None], ...]] = (
    ([], b"\x00\xff not ours"),
    ([("ce_type", b"amends.ticket.opened.v1")], b"{"),
    ([("ce_type", b"amends.command.issued.v1")], json.dumps({"routing_key": "x"}).encode()),
    ([("ce_type", b"amends.unheard.of.v7")], b"{}"),
    ([("ce_type", b"amends.complaint.submitted.v1")], None),
)
"""Headers and values that nobody can read."""
