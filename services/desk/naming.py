"""What the codes of the directory are called, and which of them somebody may mean who has begun to type."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.desk.kept_answers import KeptAnswers
from services.organisation.directory import Organisation, WrongOrganisation
from services.runtime.mongo import FAILED

KEPT_S: Final = 10.0
SUGGESTED_MAX: Final = 20


class Directory(Protocol):
    """See `directory_store.py`."""

    async def version(self) -> int:
        """The version in force; 0 when there is none."""

    async def current(self) -> Organisation | None:
        """What is in force."""


@dataclass(frozen=True, slots=True)
class Names:
    """Of one version of the directory. What it does not know is called by its code."""

    version: int = 0
    departments: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    """What stands beside the id of each: where the person works."""

    def department(self, code: str | None) -> str:
        """What people call it."""
        return self.departments.get(code or "", code or "")

    def unit(self, code: str | None) -> str:
        """What people call it; codes are compared in capitals."""
        return self.units.get((code or "").upper(), code or "")

    def meant(self, kind: str, typed: str) -> list[tuple[str, str]]:
        """Codes with names in which a text stands, those that begin with it first. Of an unknown kind: none."""
        kinds = {"department": self.departments, "unit": self.units, "person": self.people}
        sought = typed.strip().casefold()
        found = [
            (code, name)
            for code, name in kinds.get(kind, {}).items()
            if sought in code.casefold() or sought in name.casefold()
        ]
        found.sort(key=lambda one: not any(text.casefold().startswith(sought) for text in one))
        return found[:SUGGESTED_MAX]


def names_of(one: Organisation) -> Names:
    """The names in a version."""
    departments = {d.code: d.name for d in one.departments}
    units = {u.code.upper(): u.name for u in one.units}
    return Names(
        version=one.version,
        departments=departments,
        units=units,
        people={
            p.id: " · ".join(
                filter(None, (departments.get(p.department, p.department), units.get((p.unit or "").upper(), "")))
            )
            for p in one.people
        },
    )


class Naming:
    """The names in force, some seconds old at most."""

    def __init__(self, directory: Directory, *, ticks: Callable[[], float] = time.monotonic) -> None:
        """`ticks` is how long names are kept."""
        self._directory = directory
        self._names = Names()
        self._kept = KeptAnswers[None, Names](self._read, kept_s=KEPT_S, ticks=ticks)

    async def names(self) -> Names:
        """Those in force; while they cannot be read, those that were."""
        return await self._kept.get(None)

    async def _read(self, _: None) -> Names:
        try:
            if await self._directory.version() != self._names.version:
                found = await self._directory.current()
                self._names = names_of(found) if found else Names()
        except (*FAILED, WrongOrganisation):
            pass  # A page is worth more than the names on it.
        return self._names
