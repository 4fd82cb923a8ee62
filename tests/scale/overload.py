"""Three times what holds: does memory stay bounded, is every refusal polite, is what was accepted still kept?"""

import time
from collections import Counter
from typing import Any

from tests.scale.figures import normal_again_s, quantile, windows_p99
from tests.scale.load import complaints
from tests.scale.options import Options
from tests.scale.report import NORMAL_AGAIN_S_AIM
from tests.scale.system import sampling, whole_system

FACTOR = 3
BEFORE_S = 30
WARM_UP_S = 10
"""Of `BEFORE_S`, not counted: connections and caches."""
RECOVERY_S = 120
MEMORY_MB_MAX = {"service": 512, "kafka": 1024, "database": 5120, "redis": 256, "sandbox": 512}
"""The bound that no process may exceed. Kafka's heap is 384 MB and the database's cache at most 4 GB."""


async def run(options: Options) -> dict[str, Any]:
    """Half of what holds, then three times as much, then half again; and when all is handled, the audit."""
    with whole_system() as system:
        client, made = system.client, complaints()

        async def memory() -> dict[str, float]:
            return system.memory_mb()

        began = time.monotonic()
        before = await client.pour(made, per_s=options.rate / 2, seconds=BEFORE_S)
        async with sampling(memory, every_s=1) as samples:
            during = await client.pour(made, per_s=FACTOR * options.rate, seconds=options.overload_s)
            over = time.monotonic()
            after = await client.pour(made, per_s=options.rate / 2, seconds=RECOVERY_S)
            drained_s = await system.drained()
        audited = await system.audit(before.accepted | during.accepted | after.accepted)
    normal = windows_p99(before.took(), since_s=began + WARM_UP_S)
    memory_mb = {name: max(values.get(name, 0.0) for _, values in samples) for name in samples[0][1]}
    statuses = Counter(str(answer.status or "none") for answer in during.answers)
    return {
        "rate_per_s": options.rate,
        "posted_per_s": FACTOR * options.rate,
        "seconds": options.overload_s,
        "answers": dict(sorted(statuses.items())),
        "unsent": during.unsent,
        "503_without_retry_after": sum(a.status == 503 and not a.may_retry for a in during.answers),
        "429_without_retry_after": sum(a.status == 429 and not a.may_retry for a in during.answers),
        "accept_p99_ms_before_max": max(normal.values()),
        "accept_p99_ms_during": quantile((ms for _, ms in during.took()), 0.99),
        "accept_p99_ms_after": quantile((ms for at, ms in after.took() if at - over >= NORMAL_AGAIN_S_AIM), 0.99),
        "normal_again_s": normal_again_s(
            windows_p99(after.took(), since_s=over), normal_max=max(normal.values()), in_a_row=5
        ),
        "drained_s": drained_s,
        "memory_mb_max": memory_mb,
        "memory_mb_bound": {name: bound_mb(name) for name in memory_mb},
        "memory_samples": len(samples),
        "ended": system.ended,
        "audit": audited,
    }


def bound_mb(process: str) -> int:
    """What a process may take."""
    return MEMORY_MB_MAX.get(process.partition("-")[0], MEMORY_MB_MAX["service"])
