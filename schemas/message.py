"""What every message on every topic has: an identity, a key, a subject and a time, all of them part of its payload."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from schemas.codes import ActorKind, StaffRole

RoutingKey = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Part(BaseModel):
    """A value inside a message. Unknown fields are ignored on read, so that an older consumer survives a newer one."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")


class Message(Part):
    """A message of one published type. Subclasses say how its CloudEvents attributes follow from its payload."""

    TYPE: ClassVar[str]
    """CloudEvents type without the version: `amends.<noun>.<past verb>`."""
    VERSION: ClassVar[int] = 1
    SOURCE: ClassVar[str]
    """CloudEvents source: the service that publishes this type."""

    routing_key: RoutingKey

    @classmethod
    @cache
    def ce_type(cls) -> str:
        """The type as it stands in the header, e.g. `amends.ticket.opened.v1`."""
        return f"{cls.TYPE}.v{cls.VERSION}"

    @cached_property
    def payload(self) -> bytes:
        """The JSON that stands on the wire. Written once, since what is published is mostly stored, too."""
        return self.__pydantic_serializer__.to_json(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but what was written of the original is not the copy's."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("payload", None)
        return copied

    @property
    def ce_id(self) -> UUID:
        """Identity of the message; the same after any redelivery or replay."""
        raise NotImplementedError

    @property
    def ce_subject(self) -> UUID:
        """The ticket, or the complaint before there is a ticket."""
        raise NotImplementedError

    @property
    def ce_time(self) -> datetime:
        """When the thing that is told happened (not when it was published)."""
        raise NotImplementedError

    @property
    def ce_sequence(self) -> int | None:
        """The ticket's event number, on messages that have one."""
        return None


class Actor(Part):
    """Who did it, and from where."""

    kind: ActorKind
    id: Code | None = None
    """Staff, unit or system name. Never a customer's name, number or address."""
    via: Code | None = None
    """The channel or surface the act came through, e.g. `desk`, `phone`, `terminal`."""
    role: StaffRole | None = None
    """Of a member of staff: the role that was made use of."""
    unit: Code | None = None
    """The outlet or hub that the person acted for."""
