"""Bugs in clocks and what is told of them."""

from typing import Final

from tests.simulation.planted import Mutant, mutant

_HANDLERS: Final = "services/sla_monitor/handlers.py"
_CLOCKS: Final = "services/sla_monitor/clocks.py"

MUTANTS: Final[tuple[Mutant, ...]] = (
    mutant(
        "told-too-early",
        "What is due within two seconds is told, too.",
        _CLOCKS,
        "    run.pass_until(to_us(until) + 1)",
        "    run.pass_until(to_us(until) + 2_000_000)",
    ),
    mutant(
        "clocks-without-guard",
        "That another changed a ticket's clocks meanwhile is not noticed.",
        "services/sla_monitor/clock_store.py",
        "            lost = {changes[i].sla.ticket_id for i in duplicate_indexes(refusal)}",
        "            duplicate_indexes(refusal)",
    ),
    mutant(
        "sequence-ignored",
        "An event that was applied is applied again when it comes again.",
        _CLOCKS,
        "    if event.sequence <= known.sequence:",
        "    if event.sequence < known.sequence:",
    ),
    mutant(
        "facts-not-told-again",
        "An event that comes again does not have its facts published again.",
        _HANDLERS,
        "await self._clocks.told(again, work.revisions)] if again else []",
        "await self._clocks.told(again, work.revisions)][:0] if again else []",
    ),
    mutant(
        "due-not-told-again",
        "A deadline that is handed out again does not have its facts published again.",
        _HANDLERS,
        "        if due.attempts:\n            work.repeat(before, cause)\n",
        "",
    ),
    mutant(
        "deadline-not-armed-again",
        "A deadline that was lost between saving and arming is not armed when its cause comes again.",
        _HANDLERS,
        "        elif before is not None:\n            work.standing[ticket] = (before, shard)\n",
        "",
    ),
    mutant(
        "fact-id-random",
        "A fact has a random id.",
        "schemas/ids.py",
        '    return _named(ticket, f"sla/{clock}/{cycle}/{kind}/{detail}")',
        "    return __import__('uuid').uuid4()",
    ),
    mutant(
        "breach-on-one-topic",
        "A breach is not on the topic of breaches.",
        _HANDLERS,
        "(SLA_EVENT, SLA_BREACHED) if isinstance(fact, SlaBreached) else (SLA_EVENT,)",
        "(SLA_EVENT,)",
    ),
    mutant(
        "pause-not-counted",
        "After a pause the due time is what it was before.",
        "services/sla_monitor/cycle_changes.py",
        "            cycle.pauses = (*cycle.pauses, (cycle.paused, at))",
        "            cycle.pauses = (*cycle.pauses,)",
    ),
)
