"""Which ways to a person are tried."""

import pytest

from schemas.codes import Channel, DeliveryChannel
from schemas.complaint import Contact
from services.wording.channels import order

SMS, EMAIL, WECHAT = DeliveryChannel.SMS, DeliveryChannel.EMAIL, DeliveryChannel.WECHAT
BOTH = Contact(phone="+8613800138000", email="li@example.com", wechat="o-1")
ALL = {SMS, EMAIL}


@pytest.mark.parametrize(
    ("used", "contact", "expected"),
    [
        (Channel.WEB, BOTH, (SMS, EMAIL)),
        (Channel.PHONE, BOTH, (SMS, EMAIL)),
        (Channel.EMAIL, BOTH, (EMAIL, SMS)),
        (Channel.EMAIL, Contact(phone="+8613800138000"), (SMS,)),
        (Channel.WECHAT, BOTH, (SMS, EMAIL)),
        (Channel.WECHAT, Contact(wechat="o-1"), ()),
        (Channel.WEB, Contact(email="li@example.com"), (EMAIL,)),
        (Channel.IM, Contact(name="somebody"), ()),
    ],
)
def test_the_channel_used_comes_first_then_sms_then_email(
    used: Channel, contact: Contact, expected: tuple[DeliveryChannel, ...]
) -> None:
    """Only ways that lead to this person and have a provider are in the order."""
    assert order(used, contact, provided=ALL) == expected


def test_a_provider_of_wechat_would_be_asked_first() -> None:
    """A new provider is a new gateway and nothing else."""
    assert order(Channel.WECHAT, BOTH, provided={SMS, EMAIL, WECHAT}) == (WECHAT, SMS, EMAIL)


def test_without_providers_there_is_no_way() -> None:
    """Nothing is tried where nothing is configured."""
    assert order(Channel.WEB, BOTH, provided=set()) == ()
