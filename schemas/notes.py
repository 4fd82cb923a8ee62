"""What people write down about a case: collection `notes`, sealed, apart from the events that refer to it.

A document is `{_id: note_ref, ticket_id, sealed, written_at}`; `sealed` is a `Sealed` of the note's bytes whose
associated data is the note's own id. It is written before the command that names it is issued. Erasure deletes it.
"""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field

from schemas.message import Part
from schemas.text import seen

TEXT_MAX: Final = 20_000
WHYS_MAX: Final = 5

Text = Annotated[str, Field(max_length=TEXT_MAX), AfterValidator(seen)]


class Note(Part):
    """The words that belong to a command and its event. People name people in them."""

    text: Text = ""
    """For those who work on the case."""
    whys: Annotated[tuple[Text, ...], Field(max_length=WHYS_MAX)] = ()
    """The chain of whys of an investigation, from the symptom to the root."""
    for_customer: Text = ""
    """What the complainant gets to read."""

    def seal_bytes(self) -> bytes:
        """What is sealed."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def from_seal_bytes(cls, opened: bytes) -> Self:
        """The note that was sealed."""
        return cls.model_validate_json(opened)
