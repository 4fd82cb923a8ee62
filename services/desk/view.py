"""A saved view: a question to the queue under a name. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from schemas.codes import StaffRole
from schemas.text import seen
from services.desk.person import Person
from services.desk.queue import Filters

SHARERS: Final = frozenset({StaffRole.SUPERVISOR, StaffRole.CENTRE_MANAGER, StaffRole.ADMINISTRATOR})
"""Whose views may be for all."""
VIEWS_MAX: Final = 100
"""Of one person."""


class WrittenView(BaseModel):
    """A view as a caller writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        str, StringConstraints(max_length=80, strip_whitespace=True), AfterValidator(seen), Field(min_length=1)
    ]
    filters: Filters = Filters.model_validate({})
    """`me` stands for whoever looks."""
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view as it is kept."""

    id: UUID
    owner: str
    name: str
    filters: Filters
    is_shared: bool
    updated_at: datetime
    version: int = field(default=1)


def may_share(person: Person) -> bool:
    """Whether views of this person may be for all."""
    return person.role in SHARERS


def may_change(view: View, person: Person) -> bool:
    """Whether this person may change or remove it."""
    return view.owner == person.id
