"""Does the model hold where it can be tried: with one worker of each consuming service, and with two?"""

import os
from typing import Any

from tests.scale.cost import costs
from tests.scale.model import held_per_s as predicted_per_s
from tests.scale.options import Options
from tests.scale.system import held_per_s, whole_system

CONSUMING = ("router", "sla_monitor", "notifier")


async def run(options: Options) -> dict[str, Any]:
    """What a flood shows beside what the costs foretell for this machine."""
    measured = options.figures_of("cost")
    if measured is None:
        raise LookupError("the model needs the costs: run --parts=cost first")
    cores = os.cpu_count() or 1
    runs = []
    for count in (1, 2):
        workers = dict.fromkeys(CONSUMING, count)
        with whole_system(workers) as system:
            held = await held_per_s(system, seconds=options.flood_s)
        foretold, bound = predicted_per_s(costs(measured), workers, cores=cores)
        runs.append({"workers": count, "measured_per_s": held, "predicted_per_s": foretold, "bound": bound})
    return {"cores": cores, "runs": runs}
