"""The deadlines of the next minutes, in memory: a copy of what the store knows, never more than that.

An entry is a hint that asks the store at the right moment. Entries that no longer hold (moved, taken back, fired by
another) cost one look; what is missing is found by the sweep. So the copy needs no locks and no deletions.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush, nsmallest

from services.runtime.deadline_store import Seconds

Entry = tuple[Seconds, str]
"""Due time and id."""


class Window:
    """A heap of entries, and for each shard the read level up to which it holds everything.

    Attributes:
        size_max: Entries kept; above it the latest are dropped and the read levels lowered.
        cut: Whether a read level was lowered, so that more is to be read as soon as there is room.
    """

    def __init__(self, *, size_max: int) -> None:
        self.size_max = size_max
        self.cut = False
        self._heap: list[Entry] = []
        self._levels: dict[str, Seconds] = {}
        self._meanwhile: list[tuple[str, Entry]] | None = None

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_due(self) -> Seconds | None:
        """When the earliest is due."""
        return self._heap[0][0] if self._heap else None

    @property
    def shards(self) -> frozenset[str]:
        """Those that have been read."""
        return frozenset(self._levels)

    @property
    def level(self) -> Seconds | None:
        """Up to when everything of every shard is here."""
        return min(self._levels.values(), default=None)

    def offer(self, shard: str, entry: Entry) -> bool:
        """Take in what was just armed when it lies below the shard's read level; whether it is now the earliest."""
        if self._meanwhile is not None:
            # The reading under way may have passed this place already.
            self._meanwhile.append((shard, entry))
        level = self._levels.get(shard)
        if level is None or entry[0] > level:
            return False
        heappush(self._heap, entry)
        if len(self._heap) > 2 * self.size_max:
            self._shrink()
        return self._heap[0] is entry

    def push(self, entry: Entry) -> None:
        """Take in what was found overdue, of whatever shard."""
        heappush(self._heap, entry)

    def pop_due(self, now: Seconds, *, limit: int) -> list[Entry]:
        """Remove and give what is due, earliest first, each id once."""
        due: dict[str, Seconds] = {}
        while self._heap and self._heap[0][0] <= now and len(due) < limit:
            at, id_ = heappop(self._heap)
            due.setdefault(id_, at)
        return [(at, id_) for id_, at in due.items()]

    def begin_reading(self) -> None:
        """What is offered from here on survives the next `replace`."""
        self._meanwhile = []

    def replace(self, read: Mapping[str, list[Entry]], *, until: Seconds, limit: int) -> None:
        """Put what was read in the place of everything.

        Args:
            read: entries by shard, earliest first.
            until: what was asked for.
            limit: entries asked for per shard; a shard that has as many has more.
        """
        offered, self._meanwhile = self._meanwhile or [], None
        full = {shard for shard, entries in read.items() if len(entries) >= limit}
        self._levels = {shard: entries[-1][0] if shard in full else until for shard, entries in read.items()}
        self._heap = [entry for entries in read.values() for entry in entries]
        self._heap += [entry for shard, entry in offered if entry[0] <= self._levels.get(shard, 0.0)]
        heapify(self._heap)
        self.cut = bool(full)

    def _shrink(self) -> None:
        self._heap = nsmallest(self.size_max, self._heap)
        last = self._heap[-1][0]
        self._levels = {shard: min(level, last) for shard, level in self._levels.items()}
        self.cut = True
