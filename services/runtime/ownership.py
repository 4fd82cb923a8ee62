"""Which partitions this process owns at the moment."""

from collections.abc import Awaitable, Callable, Mapping

from services.runtime.ledger import Ledger

Ends = Callable[[], Awaitable[Mapping[tuple[str, int], int]]]
"""Asks for the end offsets of what is owned."""


class Ownership:
    """The partitions of a consumption, by number, because partition p of all topics has one owner.

    Attributes:
        generation: Grows with every change; what was begun under another generation may have a new owner.
        partitions: Owned now; empty while the group rebalances.
    """

    def __init__(self, ledger: Ledger, ends: Ends) -> None:
        self.generation = 0
        self.partitions: frozenset[int] = frozenset()
        self._ledger = ledger
        self._ends = ends
        self._callbacks: list[Callable[[], None]] = []

    def caught_up(self, partition: int) -> bool:
        """Whether everything up to the end that was seen last is handled, in this partition of every topic."""
        return partition in self.partitions and self._ledger.caught_up(partition)

    async def look_again(self) -> None:
        """Look where the topics end now: to have caught up is to have handled everything up to there.

        Raises:
            KafkaError: nothing is known.
            TimeoutError: likewise.
        """
        self._ledger.expect(await self._ends())

    async def hear(self) -> None:
        """Return when Kafka has answered.

        Raises:
            KafkaError: it did not.
            TimeoutError: likewise.
        """
        await self._ends()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every change of `partitions`, in the event loop; it must not block."""
        self._callbacks.append(callback)

    def change(self, partitions: frozenset[int]) -> None:
        """Own these from now on."""
        self.generation += 1
        self.partitions = partitions
        for callback in self._callbacks:
            callback()
