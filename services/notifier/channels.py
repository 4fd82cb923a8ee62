"""Which ways to a person are tried, in which order. Pure."""

from collections.abc import Set as AbstractSet

from schemas.codes import Channel, DeliveryChannel
from schemas.complaint import Contact


def order(used: Channel, contact: Contact, *, provided: AbstractSet[DeliveryChannel]) -> tuple[DeliveryChannel, ...]:
    """The one the person used first, then SMS, then e-mail: those that lead to this person and have a provider."""
    first = {Channel.EMAIL: DeliveryChannel.EMAIL, Channel.WECHAT: DeliveryChannel.WECHAT}.get(used)
    wanted = dict.fromkeys(way for way in (first, DeliveryChannel.SMS, DeliveryChannel.EMAIL) if way)
    return tuple(way for way in wanted if way in provided and address(contact, way))


def address(contact: Contact, channel: DeliveryChannel) -> str | None:
    """Where the person is reached by a channel."""
    by_channel = {
        DeliveryChannel.SMS: contact.phone,
        DeliveryChannel.EMAIL: contact.email,
        DeliveryChannel.WECHAT: contact.wechat,
    }
    return by_channel[channel]
