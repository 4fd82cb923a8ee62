"""How many tickets a view has: counted once in a while for all who look at it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.desk.asking import Asking
from services.desk.kept_answers import KeptAnswers
from services.desk.person import Person
from services.desk.queue import ME, Filters, Scope

KEPT_S: Final = 5.0
"""A browser asks once a minute; a hundred of them ask for the same few views."""


@dataclass(frozen=True, slots=True)
class _View:
    filters: str
    """Their fingerprint."""
    scope: Scope
    whose: str
    """Whom `me` means; empty where nobody is."""
    asked: Filters = field(compare=False)
    person: Person = field(compare=False)


class Counting:
    """Counts."""

    def __init__(self, asking: Asking, *, ticks: Callable[[], float] = time.monotonic) -> None:
        """`ticks` gives seconds since any moment."""
        self._asking = asking
        self._kept = KeptAnswers[_View, int](self._count, kept_s=KEPT_S, ticks=ticks)

    async def count(self, asked: Filters, *, person: Person, scope: Scope) -> int:
        """How many tickets match, up to a bound, as it was within `KEPT_S` seconds.

        Raises:
            TimeoutError: the database did not answer in time.
        """
        whose = person.id if ME in asked.person else ""
        return await self._kept.get(_View(asked.fingerprint(), scope, whose, asked, person))

    async def _count(self, view: _View) -> int:
        return await self._asking.count(view.asked, person=view.person, scope=view.scope)
