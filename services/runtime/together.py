"""Doing several things at once so that all of them can be done again."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def together(*work: Awaitable[Any]) -> list[Any]:
    """Do all at once; gives what each gives.

    `asyncio.gather` leaves the others running when one fails, and they would meet the next attempt.

    Raises:
        BaseException: the first error in the order given, when all have ended.
    """
    ended = await asyncio.gather(*work, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome
    return ended
