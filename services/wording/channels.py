"""Which ways to a person are tried, in which order. Pure."""

from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final

from schemas.codes import Channel, DeliveryChannel
from schemas.complaint import Contact
from schemas.sealed import MaskedContact

_FIELDS: Final = MappingProxyType(
    {DeliveryChannel.SMS: "phone", DeliveryChannel.EMAIL: "email", DeliveryChannel.WECHAT: "wechat"}
)
"""Of a contact, whole or masked."""


def order(
    used: Channel, contact: Contact | MaskedContact, *, provided: AbstractSet[DeliveryChannel]
) -> tuple[DeliveryChannel, ...]:
    """The one the person used first, then SMS, then e-mail: those that lead to this person and have a provider."""
    first = {Channel.EMAIL: DeliveryChannel.EMAIL, Channel.WECHAT: DeliveryChannel.WECHAT}.get(used)
    wanted = dict.fromkeys(way for way in (first, DeliveryChannel.SMS, DeliveryChannel.EMAIL) if way)
    return tuple(way for way in wanted if way in provided and getattr(contact, _FIELDS[way]))


def address(contact: Contact, channel: DeliveryChannel) -> str | None:
    """Where the person is reached by a channel."""
    found: str | None = getattr(contact, _FIELDS[channel])
    return found
