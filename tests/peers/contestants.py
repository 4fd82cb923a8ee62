"""Who does the router's job, how it is started, and what it leaves open."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.peers.environment import python_of


@dataclass(frozen=True, slots=True)
class Contestant:
    """One program for the router's job."""

    name: str
    program: str
    peer: str
    """Whose environment; empty for Amends."""
    guarantees: str
    """What becomes of a complaint when the process is killed."""
    aim: float | None = None
    more: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def command(self) -> tuple[str, ...]:
        python = str(python_of(self.peer)) if self.peer else sys.executable
        return (python, "-m", self.program)


OURS: Final = Contestant(
    name="Amends' router",
    program="services.router",
    peer="",
    guarantees="nothing is lost or doubled: offsets are committed after the events are acknowledged, and a message"
    " that comes again finds and publishes what it wrote",
)
_HALF: Final = (
    "a kill between two writes leaves a ticket half written or its events unpublished, for good: the complaint comes"
    " again and is taken for handled"
)
CONTESTANTS: Final = (
    OURS,
    Contestant(
        name="Faust, an event at a time",
        program="tests.peers.programs.faust_router",
        peer="faust",
        guarantees=f"{_HALF}; an exception counts as handled, too; sends that fail are only logged",
        aim=3,
    ),
    Contestant(
        name="Faust, `concurrency=16`",
        program="tests.peers.programs.faust_router",
        peer="faust",
        guarantees="the same; the order of a ticket's events is lost, and offsets pass complaints still in hand",
        more=MappingProxyType({"PEER_CONCURRENCY": "16"}),
    ),
    Contestant(
        name="aiokafka loop",
        program="tests.peers.programs.aiokafka_router",
        peer="faust",
        guarantees=f"{_HALF}; a message that raises ends the process again and again",
    ),
    Contestant(
        name="quixstreams",
        program="tests.peers.programs.quixstreams_router",
        peer="quixstreams",
        guarantees=f"{_HALF}; a message that raises ends the process again and again",
        aim=1,
    ),
)
