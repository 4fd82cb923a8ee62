"""Words about a case: collection `notes`, sealed. Events and commands carry a `note_ref` and never the words."""

from typing import Self

from pydantic import Field

from schemas.message import Part

CHARACTERS_MAX = 20_000


class Note(Part):
    """What somebody wrote. Exists in the clear in memory only; on disk it is a `Sealed`, opened with its `note_ref`."""

    text: str = Field(default="", max_length=CHARACTERS_MAX)
    """For those who work on the case."""
    whys: tuple[str, ...] = Field(default=(), max_length=5)
    """The chain from the fact to its root cause."""
    for_customer: str = Field(default="", max_length=CHARACTERS_MAX)
    """What the complainant may read, in the words that were chosen for that."""

    def seal_bytes(self) -> bytes:
        """What is sealed."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def from_seal_bytes(cls, opened: bytes) -> Self:
        """The note that was sealed."""
        return cls.model_validate_json(opened)
