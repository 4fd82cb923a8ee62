"""Bugs between the request and the answer."""

from typing import Final

from tests.simulation.planted import Change, Mutant, mutant

_HANDLERS: Final = "services/intake/handlers.py"

MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(
        "answered-before-published",
        "202 is answered before the broker has the complaint.",
        (
            Change(_HANDLERS, "from collections.abc import", "import asyncio\nfrom collections.abc import"),
            Change(
                _HANDLERS,
                "            await self._publisher.publish(list(outgoing.values()))",
                "            asyncio.ensure_future(self._publisher.publish(list(outgoing.values())))",
            ),
        ),
    ),
    mutant(
        "marked-before-published",
        "Redis is told that a complaint is published before it is, and believed.",
        _HANDLERS,
        "        if outgoing:\n            await self._publisher",
        "        if new:\n            await self._published.add(new)\n"
        "        if outgoing:\n            await self._publisher",
    ),
    mutant(
        "stored-claim-ignored",
        "A request that comes again is taken as it is, not as its key was claimed.",
        _HANDLERS,
        "(held.get(claim.complaint_id, claim), claim.complaint_id in published)",
        "(claim, claim.complaint_id in published)",
    ),
)
