"""All bugs that are planted."""

from typing import Final

from tests.simulation.planted import Mutant, in_intake, in_notifier, in_router, in_runtime, in_sla_monitor

MUTANTS: Final[tuple[Mutant, ...]] = (
    *in_runtime.MUTANTS,
    *in_intake.MUTANTS,
    *in_router.MUTANTS,
    *in_sla_monitor.MUTANTS,
    *in_notifier.MUTANTS,
)
