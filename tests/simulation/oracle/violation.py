from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """Something that must not be, whatever was killed when."""

    invariant: int
    """Its number in ARCHITECTURE.md; 0: the run did not come to rest."""
    about: str
    """Id of the ticket, complaint or message, or the place of a record."""
    words: str
