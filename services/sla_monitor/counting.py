"""What is counted of the facts that were told."""

from collections import Counter as Multiset
from collections.abc import Iterable

from schemas.codes import Clock
from schemas.sla import Accountable, SlaBreached, SlaFact, SlaMet, SlaStoppedLate, SlaWarned
from services.runtime.metrics import SlaMetrics

UNKNOWN = "unknown"
_Labels = tuple[str, str, str]


class Counter:
    """Counts into the metrics. Labels are codes of the field and departments of the directory."""

    def __init__(self, metrics: SlaMetrics) -> None:
        self._metrics = metrics

    def told(self, facts: Iterable[SlaFact]) -> None:
        """Facts were published for the first time."""
        told, warned, breached = Multiset[tuple[str, str]](), Multiset[_Labels](), Multiset[_Labels]()
        for fact in facts:
            told[fact.TYPE, fact.clock.value] += 1
            if isinstance(fact, SlaWarned):
                warned[_accountable(fact)] += 1
            elif isinstance(fact, SlaBreached):
                breached[_accountable(fact)] += 1
            elif isinstance(fact, SlaMet | SlaStoppedLate) and fact.clock is Clock.ACKNOWLEDGE:
                self._metrics.acknowledge_seconds.observe(fact.elapsed_s)
        for (type_, clock), count in told.items():
            self._metrics.facts.labels(fact=type_.rpartition(".")[2], clock=clock).inc(count)
        for metric, counts in ((self._metrics.warned, warned), (self._metrics.breached, breached)):
            for (clock, category, department), count in counts.items():
                metric.labels(clock=clock, category=category, department=department).inc(count)

    def gap(self) -> None:
        """A ticket's event came before an earlier one."""
        self._metrics.gaps.inc()

    def met_another(self, count: int) -> None:
        """Another worker had changed so many tickets meanwhile."""
        self._metrics.conflicts.inc(count)


def _accountable(fact: Accountable) -> _Labels:
    category = fact.category.category.value if fact.category else UNKNOWN
    return fact.clock.value, category, fact.department or UNKNOWN
