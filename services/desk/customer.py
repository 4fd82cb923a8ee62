"""The keys by which a customer's tickets are found: digests of what a person typed, which nothing can be read from."""

from collections.abc import Callable
from typing import Final

import phonenumbers

HOME_REGION: Final = "CN"
"""Whose phone numbers may be written without a country code."""


def customer_keys(typed: str, *, blind: Callable[[str, str], str], region: str = HOME_REGION) -> list[str]:
    """Digests of everything that it may be: a phone number, an e-mail address, an open id, an account.

    Args:
        typed: as a person wrote it.
        blind: keyed digest (hex) of a kind and a value, as the intake makes them.
        region: ISO 3166 code that a number without country code is of.
    """
    text = typed.strip()
    if "@" in text:
        return [blind("email", text.casefold())]
    keys = [blind("wechat", text), blind("account", text)]
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return keys
    if phonenumbers.is_valid_number(number):
        return [blind("phone", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)), *keys]
    return keys
