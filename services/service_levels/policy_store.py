"""Versions of the policy of service levels: collection `policies`, `_id` `sla:<version>`. Versions are never changed.

The policy stands there as JSON text in `policy`, because its keys are dates and times of day, too.
"""

import contextlib
from datetime import UTC, datetime
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from services.runtime.mongo import Database
from services.service_levels.policy import PolicyError, SlaPolicy
from services.service_levels.versions import LEAD, Head, TakenError, unfit

_KIND: Final = "sla"


class PolicyStore:
    """Loads and adds versions."""

    def __init__(self, database: Database) -> None:
        self._policies = database["policies"]

    async def versions(self) -> list[SlaPolicy]:
        """All versions, the lowest first."""
        found = await self._policies.find({"kind": _KIND}).sort("version", 1).to_list(None)
        return [SlaPolicy.model_validate_json(d["policy"]) for d in found]

    async def numbers(self) -> list[int]:
        """The numbers of all versions, the lowest first."""
        found = await self._policies.find({"kind": _KIND}, {"version": 1}).to_list(None)
        return sorted(d["version"] for d in found)

    async def heads(self) -> list[Head]:
        """All versions in short, the highest first."""
        fields = {"version": 1, "name": 1, "effective_from": 1}
        found = await self._policies.find({"kind": _KIND}, fields).sort("version", -1).to_list(None)
        return [Head(d["version"], d["name"], d["effective_from"]) for d in found]

    async def get(self, version: int) -> SlaPolicy | None:
        """One version."""
        found = await self._policies.find_one({"_id": f"{_KIND}:{version}"})
        return SlaPolicy.model_validate_json(found["policy"]) if found else None

    async def begin_with(self, default: SlaPolicy) -> None:
        """Where there is no version yet, `default` becomes the first."""
        if not await self.numbers():
            with contextlib.suppress(DuplicateKeyError):  # Another worker did so at this moment.
                await self._insert(default)

    async def add(self, policy: SlaPolicy, *, now: datetime) -> bool:
        """Add a version; False when exactly this one is there already.

        The first version holds from the beginning, whatever it says. A later one may not begin in the past: clocks that
        have started since would have another target than after a replay.

        Raises:
            PolicyError: the version cannot be added, with the reasons.
        """
        versions = await self.versions()
        same = next((v for v in versions if v.version == policy.version), None)
        if same is not None and same == policy:
            return False
        if problems := unfit(policy.version, policy.effective_from, versions=versions, now=now):
            raise PolicyError(problems)
        try:
            await self._insert(policy)
        except DuplicateKeyError:
            raise TakenError(policy.version) from None
        return True

    async def add_renumbered(self, policy: SlaPolicy, *, now: datetime) -> int:
        """Put a policy in force from now on under the next free number, unless the latest says the same; its number."""
        versions = await self.versions()
        if not versions:
            await self.add(policy, now=now)
            return policy.version
        latest = versions[-1]
        as_latest = {"version": latest.version, "effective_from": latest.effective_from}
        if policy.model_copy(update=as_latest) == latest:
            return latest.version
        renumbered = policy.model_copy(update={"version": latest.version + 1, "effective_from": now + LEAD})
        await self.add(renumbered, now=now)
        return renumbered.version

    async def _insert(self, policy: SlaPolicy) -> None:
        document: dict[str, Any] = {
            "_id": f"{_KIND}:{policy.version}",
            "kind": _KIND,
            "version": policy.version,
            "name": policy.name,
            "effective_from": policy.effective_from,
            "loaded_at": datetime.now(UTC),
            "policy": policy.model_dump_json(),
        }
        await self._policies.insert_one(document)
