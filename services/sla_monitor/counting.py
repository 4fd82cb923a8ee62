"""What is counted of the facts that were told."""

from schemas.codes import Clock
from schemas.sla import Accountable, SlaBreached, SlaFact, SlaMet, SlaStoppedLate, SlaWarned
from services.runtime.metrics import SlaMetrics

UNKNOWN = "unknown"


class Counter:
    """Counts into the metrics. Labels are codes of the field and departments of the directory."""

    def __init__(self, metrics: SlaMetrics) -> None:
        self._metrics = metrics

    def told(self, fact: SlaFact) -> None:
        """A fact was published for the first time."""
        metrics, clock = self._metrics, fact.clock.value
        metrics.facts.labels(fact=fact.TYPE.rpartition(".")[2], clock=clock).inc()
        if isinstance(fact, SlaWarned):
            metrics.warned.labels(**_accountable(fact)).inc()
        elif isinstance(fact, SlaBreached):
            metrics.breached.labels(**_accountable(fact)).inc()
        elif isinstance(fact, SlaMet | SlaStoppedLate) and fact.clock is Clock.ACKNOWLEDGE:
            metrics.acknowledge_seconds.observe(fact.elapsed_s)

    def gap(self) -> None:
        """A ticket's event came before an earlier one."""
        self._metrics.gaps.inc()

    def met_another(self, count: int) -> None:
        """Another worker had changed so many tickets meanwhile."""
        self._metrics.conflicts.inc(count)


def _accountable(fact: Accountable) -> dict[str, str]:
    return {
        "clock": fact.clock.value,
        "category": fact.category.category.value if fact.category else UNKNOWN,
        "department": fact.department or UNKNOWN,
    }
