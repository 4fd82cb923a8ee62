"""What a seed stands for: complaints, what people do with tickets, and what goes wrong when."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.aims import STEPS
from tests.simulation.network import Mishap
from tests.simulation.provider import Whim

SAFETY_S: Final = 10.0
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


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    `what` is `kill`, `stop`, `freeze` (a process: `where` is its place, `number` the steps until then, `for_s` how long
    it stands still or stays away), `away` (a way), `flush` (Redis), `poison` (`where` is the topic), a `Mishap`
    (`where` is a way, `number` the requests before it) or a `Whim` (`where` is a provider). With `step`, `where` is a
    service, and hit is whichever of its processes comes to this operation on the database or a provider after
    `number` others, `after_s` after it is answered.
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
        detail += f" {self.after_s:.3f} s behind {self.step}" if self.step else ""
        return f"{self.at_s:6.2f} s  {self.what} {self.where}{detail}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a seed decides, but for the small delays of the network."""

    seed: int
    partitions: int
    workers: dict[str, int]
    sent: list[Sent]
    asked: list[Asked]
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
        "router": 1 + (chance.random() < 0.4),
        "sla_monitor": 1 + (chance.random() < 0.4),
        "notifier": 1 + (chance.random() < 0.4),
    }
    sent = list(_complaints(chance))
    asked = [one for _ in range(chance.randint(0, 10)) for one in _asked(chance, chance.randrange(len(sent)))]
    made = Scenario(seed, chance.choice((1, 2, 3)), workers, sent, asked)
    # A run without faults now and then: what is wrong there is wrong by itself.
    if chance.random() < 0.95:
        made.faults.extend(sorted((*_aimed(chance, made), *_faults(chance, made)), key=lambda fault: fault.at_s))
    return made


def _asked(chance: random.Random, ticket: int) -> Iterator[Asked]:
    action, after_s = chance.choice(_ACTIONS), chance.uniform(0.0, 9.0)
    yield Asked(ticket, after_s, action, chance.random() < 0.15)
    if action["name"] == "wait_for_customer":
        yield Asked(ticket, after_s + chance.uniform(0.2, 4.0), {"name": "resume"})


def _complaints(chance: random.Random) -> Iterator[Sent]:
    made: list[Sent] = []
    # Now and then all at once, so that one batch waits while another is handled.
    begin_s, end_s = (5.0, 5.2) if chance.random() < 0.25 else (0.0, SAFETY_S * 0.7)
    for number in range(chance.randint(2, 7)):
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
            body = {**earlier.body, "channel": chance.choice(_CHANNELS)}
            if chance.random() < 0.5:
                # Named in the text alone, the parcel is the same, and the key, so that two routers may have it in hand.
                del body["waybills"]
            at_s = min(earlier.at_s + chance.choice((0.0, 0.001, 0.02, 1.0, 6.0)), SAFETY_S)
            one = Sent(at_s, f"again-{number}", body)
        elif kind < 0.42:
            one = Sent(at_s, f"wrong-{number}", {"channel": "web", "description": "", "waybills": [7]})
        else:
            again_s = chance.choice((0.0, 0.005, 0.03, 2.0)) if chance.random() < 0.25 else None
            one = Sent(at_s, None if kind > 0.95 else f"key-{number}", _body(chance, number), again_s)
            made.append(one)
        yield one


def _body(chance: random.Random, number: int) -> dict[str, Any]:
    waybill = f"SF{chance.randrange(10**12):012d}"
    language, text = chance.choice(_TEXTS)
    complainant: dict[str, str] = {}
    reach = chance.random()
    if reach < 0.9:
        complainant["phone"] = f"+86138{chance.randrange(10**8):08d}"
    if reach > 0.6:
        complainant["email"] = f"customer.{number}.{chance.randrange(10**6)}@example.org"
    return {
        "channel": chance.choice(_CHANNELS),
        "language": language,
        "complainant": complainant,
        "waybills": [waybill],
        "description": text.format(waybill=waybill),
    }


def _aimed(chance: random.Random, made: Scenario) -> Iterator[Fault]:
    if chance.random() < 0.7:
        yield from (_step(chance, made) for _ in range(chance.choice((1, 1, 2, 3))))
    if chance.random() < 0.15:
        yield from _outage(chance, made)
    if made.workers["sla_monitor"] > 1:
        yield _late(chance)


def _faults(chance: random.Random, made: Scenario) -> Iterator[Fault]:
    kinds: list[str] = chance.sample(
        ["process", "away", "both", "mishap", "whim", "redis", "poison"], chance.randint(1, 4)
    )
    for _ in range(chance.choice((1, 2, 3, 5, 8, 13))):
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
    """Somebody is hit at a step of his work; mostly in a service where another may take over."""
    services = ["router", "router", "router", "sla_monitor", "sla_monitor", "notifier", "notifier", "intake"]
    several = [s for s in services if made.workers[s] > 1] if chance.random() < 0.7 else []
    service = chance.choice(several or services)
    what = chance.choice(("kill", "freeze"))
    # A frozen one wakes up when its partitions have long gone to another, and goes on as if nothing had been.
    for_s = chance.choice((2.0, 12.0, 12.0)) if what == "freeze" else chance.choice((0.0, 0.0, 9.0))
    at_s = chance.choice((chance.choice(made.sent).at_s, chance.uniform(0.0, SAFETY_S * 0.8)))
    return Fault(
        at_s,
        what,
        service,
        number=int(chance.expovariate(1.0)),
        for_s=for_s,
        step=chance.choice(STEPS[service]),
        after_s=chance.choice((0.0, 0.0, 0.0, 0.0, chance.uniform(0.001, 0.05), chance.uniform(0.01, 0.5))),
    )


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


def _late(chance: random.Random) -> Fault:
    """Long after all else, when deadlines still come: one of two who fire them. The other is to do it in time."""
    at_s, place = SAFETY_S + 12.5 + chance.expovariate(1 / 4), chance.choice(("sla_monitor-1", "sla_monitor-2"))
    return Fault(at_s, chance.choice(("kill", "freeze")), place, number=1 + int(chance.expovariate(1 / 10)), for_s=10.0)


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
