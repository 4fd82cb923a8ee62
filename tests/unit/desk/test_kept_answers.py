"""Answers that are kept for a while."""

import asyncio

import pytest

from services.desk import kept_answers
from services.desk.kept_answers import KeptAnswers


class Source:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.fails = False
        self.now = 0.0
        self.kept = KeptAnswers[str, int](self.find, kept_s=5, ticks=lambda: self.now)

    async def find(self, question: str) -> int:
        self.asked.append(question)
        await self.may_answer.wait()
        if self.fails:
            raise TimeoutError
        return len(self.asked)


async def test_who_asks_while_it_is_being_found_waits_for_the_same_answer() -> None:
    """However long that takes; another question is not held up, and who goes away takes nothing from the others."""
    source = Source()
    source.may_answer.clear()
    some = [asyncio.create_task(source.kept.get("all")) for _ in range(10)]
    other = asyncio.create_task(source.kept.get("mine"))
    await asyncio.sleep(0)
    source.now = 60
    some += [asyncio.create_task(source.kept.get("all"))]
    await asyncio.sleep(0)
    some.pop(0).cancel()
    source.may_answer.set()
    assert set(await asyncio.gather(*some)) == {await other} == {2}
    assert source.asked == ["all", "mine"]


async def test_an_answer_is_kept_for_its_time_and_a_failure_is_not() -> None:
    """Whoever comes after a failure has the question asked again."""
    source = Source()
    source.fails = True
    with pytest.raises(TimeoutError):
        await source.kept.get("all")
    source.fails = False
    assert [await source.kept.get("all") for _ in range(3)] == [2, 2, 2]
    source.now = 5
    assert await source.kept.get("all") == 3


async def test_old_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions may be many over a day."""
    monkeypatch.setattr(kept_answers, "KEPT_MAX", 3)
    source = Source()
    for question in "abc":
        await source.kept.get(question)
    source.now = 6
    await source.kept.get("d")
    assert list(source.kept._known) == ["d"]
