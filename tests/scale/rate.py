"""What one of each service holds, for the parts that load it by halves and multiples of that."""

from typing import Any

from tests.scale.options import Options
from tests.scale.system import held_per_s, whole_system


async def run(options: Options) -> dict[str, Any]:
    """A flood, until the last confirmation is sent and nothing waits."""
    with whole_system() as system:
        return {"held_per_s": await held_per_s(system, seconds=options.flood_s), "seconds": options.flood_s}
