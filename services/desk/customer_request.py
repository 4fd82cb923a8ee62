"""Which customer is meant: what was given, in the form in which the intake digests it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from services.desk.accounts import Wrong
from services.desk.audit import REASON_CHARACTERS_MAX
from services.desk.refusal import Refusal

HOME_REGION: Final = "CN"
"""Whose numbers may be written without a country code, as at the intake."""
_OPEN_ID_CHARACTERS_MAX: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request about a customer says."""

    phone: str | None = None
    email: str | None = None
    wechat: str | None = None
    reason: str = ""

    def digests(self, blind: Callable[[str, str], str]) -> tuple[str, ...]:
        """Blind indexes of the values that are given, as `ContactIndex` has them.

        Args:
            blind: keyed digest of a value of a kind, `Keyring.blind`.

        Raises:
            Refusal: `wrong-fields`, with every problem.
        """
        problems, digests = reason_problems(self.reason), []
        if not (self.phone or self.email or self.wechat):
            problems.append(Wrong("", "one_contact_needed"))
        if self.phone and (number := _phone(self.phone)) is None:
            problems.append(Wrong("phone", "phone_invalid"))
        elif self.phone:
            digests.append(blind("phone", str(number)))
        if self.email and (address := _email(self.email)) is None:
            problems.append(Wrong("email", "email_invalid"))
        elif self.email:
            digests.append(blind("email", str(address).casefold()))
        if self.wechat and (len(self.wechat) > _OPEN_ID_CHARACTERS_MAX or not self.wechat.isprintable()):
            problems.append(Wrong("wechat", "wechat_invalid"))
        elif self.wechat:
            digests.append(blind("wechat", self.wechat.strip()))
        if problems:
            raise Refusal("wrong-fields", problems=problems)
        return tuple(digests)


def customer_keys(typed: str, *, blind: Callable[[str, str], str]) -> list[str]:
    """Digests of everything that it may be: a phone number, an e-mail address, an open id, an account.

    Args:
        typed: as a person wrote it.
        blind: keyed digest (hex) of a kind and a value, as the intake makes them.
    """
    text = typed.strip()
    if "@" in text:
        return [blind("email", text.casefold())]
    keys = [blind("wechat", text), blind("account", text)]
    return [blind("phone", number), *keys] if (number := _phone(text)) else keys


def reason_problems(reason: str) -> list[Wrong]:
    """What is wrong with a reason for looking at personal data."""
    if 0 < len(reason.strip()) <= REASON_CHARACTERS_MAX:
        return []
    return [Wrong("reason", "reason_missing", None, {"max": REASON_CHARACTERS_MAX})]


def _phone(given: str) -> str | None:
    try:
        number = phonenumbers.parse(given, HOME_REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _email(given: str) -> str | None:
    try:
        return validate_email(given, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return None
