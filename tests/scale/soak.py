"""Half of what holds, for long: does anything grow?"""

from typing import Any

from services.cli.bench import chain
from tests.scale.figures import trend
from tests.scale.load import complaints
from tests.scale.options import Options
from tests.scale.system import sampling, whole_system

EVERY_S = 10


async def run(options: Options) -> dict[str, Any]:
    """Memory, open handles and lag of each process: slope an hour, medians of the first and the last third."""
    with whole_system() as system:

        async def look() -> dict[str, float]:
            values = {f"{name}: memory, MB": mb for name, mb in system.memory_mb().items()}
            values |= {f"{name}: handles": n for name, n in system.look(lambda process: process.num_fds()).items()}
            return values | {f"{name}: lag, messages": n for name, n in (await chain.backlog(system.where)).items()}

        async with sampling(look, every_s=min(EVERY_S, options.soak / 10)) as samples:
            poured = await system.client.pour(complaints(), per_s=options.rate / 2, seconds=options.soak)
        await system.drained()
        audited = await system.audit(poured.accepted)
    names = sorted(samples[0][1].keys() & samples[-1][1].keys())
    return {
        "seconds": options.soak,
        "posted_per_s": options.rate / 2,
        "not_accepted": len(poured.answers) - len(poured.accepted) + poured.unsent,
        "samples": len(samples),
        "ended": system.ended,
        "trends": {name: trend([(at, v[name]) for at, v in samples if name in v]) for name in names},
        "audit": audited,
    }
