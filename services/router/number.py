"""Ticket numbers for people: `YYMM-` and the serial within the month, whose last digit checks the rest (Damm).

The Damm digit finds every single wrong digit and every swap of two neighbours, which is what goes wrong on the phone.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from stdnum import damm

SERIAL_DIGITS: Final = 5
"""At least; a month with more tickets gets longer numbers."""
_SHAPE: Final = re.compile(r"(\d{2})(0[1-9]|1[0-2])-(\d{5,})(\d)", re.ASCII)
_SPOKEN: Final = re.compile(r"[\s.‐-―－_/]+")


class WrongNumber(ValueError):  # noqa: N818  # said of the number
    """What was read is no ticket number. The message says what is wrong with it and what to do."""


@dataclass(frozen=True, slots=True)
class Number:
    """A ticket number taken apart."""

    month: str
    """`YYMM`."""
    serial: int

    def __str__(self) -> str:
        digits = f"{self.month}{self.serial:0{SERIAL_DIGITS}d}"
        return f"{self.month}-{digits[4:]}{damm.calc_check_digit(digits)}"


def month_of(at: datetime, zone: ZoneInfo) -> str:
    """`YYMM` of an instant on the network's wall calendar."""
    return at.astimezone(zone).strftime("%y%m")


def parse(text: str) -> Number:
    """The number that a person typed or read out; the width of digits, spaces and dashes of any kind do not matter.

    Raises:
        WrongNumber: its shape or its check digit is wrong.
    """
    compact = _SPOKEN.sub("", unicodedata.normalize("NFKC", text).replace("-", "").strip())
    match = _SHAPE.fullmatch(f"{compact[:4]}-{compact[4:]}")
    if match is None:
        raise WrongNumber(f"{text!r} is no ticket number: it looks like 2611-004217")
    year, month, serial, check = match.groups()
    if damm.calc_check_digit(year + month + serial) != check:
        raise WrongNumber(f"{text!r} has a wrong digit: read it again, the last digit does not fit the others")
    return Number(month=year + month, serial=int(serial))


def is_valid(text: str) -> bool:
    """Whether the text is a ticket number without a slip."""
    try:
        parse(text)
    except WrongNumber:
        return False
    return True
