"""Which offsets were delivered, which are finished, and therefore which offset may be committed.

Faust derives the offset to commit from what was acknowledged alone: with 31 in flight an acknowledgement of 32 commits
33, and 31 is gone after a crash. Here the offset to commit is the smallest unfinished one, always.
"""

from collections import deque
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple


class Place(NamedTuple):
    """A partition of a topic. Equal to, and hashed as, the tuples of Faust and aiokafka."""

    topic: str
    partition: int


class Delivery(Enum):
    """What to do with a record that arrives."""

    TAKE = auto()
    """It is the next one."""
    DROP = auto()
    """It was delivered before, or a record before it is being fetched again."""
    REREAD = auto()
    """Records before it have not arrived: fetch again from `Ledger.next_offset`; this one will come again, too."""


class _Track:
    __slots__ = ("committed", "done", "dropped", "next_offset", "outstanding", "reread_until")

    def __init__(self, start: int) -> None:
        self.committed = start
        self.next_offset = start
        self.outstanding: deque[int] = deque()
        self.done: set[int] = set()
        self.reread_until: int | None = None
        self.dropped = -1
        """The last that came from before what is being read again."""

    @property
    def position(self) -> int:
        """Everything before it is finished."""
        return self.outstanding[0] if self.outstanding else self.next_offset


class Ledger:
    """Delivered, finished and committed offsets of the partitions that are owned now.

    `assign` begins an ownership, `clear` ends it; what is told of partitions that are not owned is ignored.
    """

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, int], _Track] = {}
        self._ends: dict[tuple[str, int], int] = {}

    def assign(self, *, starts: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> None:
        """Begin with these partitions and no others.

        Args:
            starts: The first offset that is not finished, by partition.
            ends: The offset after the last record there was at assignment, by partition.
        """
        self._tracks = {place: _Track(start) for place, start in starts.items()}
        self._ends = dict(ends)

    def expect(self, ends: Mapping[tuple[str, int], int]) -> None:
        """There are more records now: to have caught up is to have finished these, too."""
        self._ends |= {place: end for place, end in ends.items() if place in self._tracks}

    def clear(self) -> None:
        """Own nothing."""
        self._tracks = {}
        self._ends = {}

    def deliver(self, place: tuple[str, int], offset: int) -> Delivery:
        """A record arrived.

        Offsets that jump were lost on the way, or deleted by retention: reading again from the gap tells which,
        because what was deleted does not come a second time either.
        """
        track = self._tracks.get(place)
        if track is None or offset < track.next_offset:
            return Delivery.DROP
        if track.reread_until is not None and offset > track.reread_until:
            # What was fetched before goes on without a gap. Another gap: more was deleted while it was read again.
            is_next, track.dropped = offset == track.dropped + 1, offset
            if is_next:
                return Delivery.DROP
            track.reread_until = offset
            return Delivery.REREAD
        if track.reread_until is None and offset > track.next_offset:
            track.reread_until = track.dropped = offset
            return Delivery.REREAD
        track.reread_until = None
        track.next_offset = offset + 1
        track.outstanding.append(offset)
        return Delivery.TAKE

    def skip(self, place: tuple[str, int], offset: int) -> None:
        """Nothing before `offset` is a record that is still to arrive: markers of transactions take offsets, too."""
        track = self._tracks.get(place)
        if track is not None:
            track.next_offset = max(track.next_offset, offset)

    def finish(self, place: tuple[str, int], offset: int) -> None:
        """A delivered record needs nothing more."""
        track = self._tracks.get(place)
        if track is None:
            return
        track.done.add(offset)
        while track.outstanding and track.outstanding[0] in track.done:
            track.done.discard(track.outstanding.popleft())

    def committable(self) -> dict[tuple[str, int], int]:
        """The offsets to commit, of those partitions where it has moved."""
        return {place: t.position for place, t in self._tracks.items() if t.position > t.committed}

    def committed(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """The broker has confirmed these."""
        for place, offset in offsets.items():
            if track := self._tracks.get(place):
                track.committed = max(track.committed, offset)

    def next_offsets(self) -> dict[tuple[str, int], int]:
        """Where reading goes on, by partition."""
        return {place: track.next_offset for place, track in self._tracks.items()}

    def positions(self) -> dict[tuple[str, int], int]:
        """The smallest unfinished offset, by partition."""
        return {place: track.position for place, track in self._tracks.items()}

    def caught_up(self, partition: int) -> bool:
        """Whether all that was there at assignment or was `expect`ed is finished, in this partition of every topic.

        False for a partition that is not owned.
        """
        places = [place for place in self._tracks if place[1] == partition]
        return bool(places) and all(self._tracks[place].position >= self._ends.get(place, 0) for place in places)
