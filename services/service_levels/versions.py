"""Versions of a policy of service levels: which is in force, and which can be added. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol, TypeVar

from services.service_levels.policy import PolicyError

LEAD: Final = timedelta(seconds=5)
"""A version is known everywhere before it holds, or an event would be counted by the one before."""


class Dated(Protocol):
    """What has a number and a beginning."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def effective_from(self) -> datetime:
        """From when it holds."""


V = TypeVar("V", bound=Dated)


class Head(NamedTuple):
    """What a list of versions tells."""

    version: int
    name: str
    effective_from: datetime


class TakenError(PolicyError):
    """Somebody else has just added a version of this number."""

    def __init__(self, version: int) -> None:
        super().__init__([f"version {version} has just been loaded by somebody else"])


def in_force(versions: Sequence[V], at: datetime) -> V | None:
    """The version that a clock belongs to that starts then; before the first, the first. None: there is none."""
    begun = [version for version in versions if version.effective_from <= at]
    if not begun:
        return min(versions, key=_beginning, default=None)
    return max(begun, key=_beginning)


def soonest(now: datetime) -> datetime:
    """The first whole second at which a version may begin to hold that is added now."""
    return (now + LEAD).replace(microsecond=0) + timedelta(seconds=1)


def unfit(version: int, effective_from: datetime, *, versions: Sequence[Dated], now: datetime) -> list[str]:
    """Why a version cannot be added to these; see `PolicyStore.add`."""
    if not versions:
        return []
    problems = []
    highest = max(one.version for one in versions)
    if version <= highest:
        problems.append(f"version: {version} must be above {highest}, the highest that is loaded")
    if effective_from < now + LEAD:
        problems.append(
            f"effective_from: {effective_from.isoformat()} is too soon, and what has started since then cannot change; "
            f"write a time at least {LEAD.seconds} s from now"
        )
    return problems


def _beginning(version: Dated) -> tuple[datetime, int]:
    return version.effective_from, version.version
