"""Files that come with a form: handed to the intake one by one; what it took is named in the form that is shown again.

The intake alone says what may be kept as evidence, so that the limits are the same by every way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self
from uuid import UUID

from schemas.codes import Language
from services.desk.accounts import Wrong
from services.desk.intake_gateway import IntakeAway

FILES_MAX: Final = 10
_NAME_CHARACTERS_MAX: Final = 100


class Chosen(Protocol):
    """A file of a form that came."""

    filename: str | None
    size: int | None

    async def read(self) -> bytes:
        """All of it."""


class Taker(Protocol):
    """Where evidence is kept, see `intake_gateway.py`."""

    async def upload(self, content: bytes, *, language: Language) -> UUID | str:
        """The id that it got, or why it was refused, in words.

        Raises:
            IntakeAway: it could not be taken now.
        """


@dataclass(frozen=True, slots=True)
class File:
    """A file that was taken. In a form it stands as its id and its name with a space between."""

    id: UUID
    name: str

    @classmethod
    def read(cls, written: str) -> Self | None:
        """Of a field of a form; None: it is none."""
        id_, _, name = written.partition(" ")
        try:
            return cls(UUID(id_), name[:_NAME_CHARACTERS_MAX])
        except ValueError:
            return None

    def __str__(self) -> str:
        """As a form has it."""
        return f"{self.id} {self.name}".strip()


@dataclass(slots=True)
class Uploaded:
    """What became of the files of a form."""

    files: list[File] = field(default_factory=list)
    """Taken now or before."""
    problems: list[Wrong] = field(default_factory=list)


async def upload(taker: Taker, chosen: Sequence[Chosen], *, before: Sequence[File], language: Language) -> Uploaded:
    """Hand over what was chosen; what is wrong with each file is told at once."""
    given = [one for one in chosen if one.filename or one.size]
    done = Uploaded(list(before))
    if len(given) + len(before) > FILES_MAX:
        done.problems.append(Wrong("evidence", "too_many_files", None, {"max": FILES_MAX}))
        return done
    for one in given:
        name = " ".join((one.filename or "").split())[:_NAME_CHARACTERS_MAX]
        try:
            taken = await taker.upload(await one.read(), language=language)
        except IntakeAway:
            done.problems.append(Wrong("evidence", "file_not_taken", None, {"name": name}))
        else:
            if isinstance(taken, UUID):
                done.files.append(File(taken, name))
            else:
                done.problems.append(Wrong("evidence", "file_refused", None, {"name": name, "why": taken}))
    return done
