"""What a person may mean who types a text into the search field. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from stdnum import damm

from services.desk.row import Row

SERIAL_DIGITS: Final = 5
_MONTH: Final = re.compile(r"\d{2}(0[1-9]|1[0-2])", re.ASCII)
_SPOKEN: Final = re.compile(r"[\s.‐-―－_/]+")
_PREFIX: Final = re.compile(r"(?=.{6})(?=(?:.*\d){4})[0-9A-Z:-]+", re.ASCII)
"""What is looked for by its beginning, too: long enough, and with so many digits, that few things begin with it."""
_CONTACT: Final = re.compile(r"(\+?86|0086)?1[3-9]\d{9}|.*@.*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Search:
    """Keys that are meant, or the beginning of them."""

    exact: tuple[str, ...]
    prefix: str = ""


def keys(row: Row) -> tuple[str, ...]:
    """What a row is found by: number, waybills, places, case number."""
    said = (row.number, *row.waybills, *row.places, row.case_number or "")
    return tuple(dict.fromkeys(_plain(text) for text in said if text))


def search(text: str) -> Search:
    """What a text means: a ticket number with or without hyphen and check digit, else a key or its beginning."""
    wanted = _plain(text)
    month, serial = wanted[:4], wanted[4:]
    numbers: tuple[str, ...] = ()
    if _MONTH.fullmatch(month) and serial.isascii() and serial.isdigit() and 0 < len(serial) <= SERIAL_DIGITS:
        # Zeros are left out on the phone, and so is the check digit.
        padded = f"{month}{int(serial):0{SERIAL_DIGITS}d}"
        numbers = (padded + damm.calc_check_digit(padded), f"{month}{int(serial):0{SERIAL_DIGITS + 1}d}")
    if numbers or not _PREFIX.fullmatch(wanted):
        return Search(exact=tuple(dict.fromkeys((wanted, *numbers))))
    return Search(exact=(wanted,), prefix=wanted)


def is_contact(text: str) -> bool:
    """Whether it looks like a mobile number or an address, which must not stand in a URL."""
    return _CONTACT.fullmatch(re.sub(r"[\s()-]", "", unicodedata.normalize("NFKC", text))) is not None


def _plain(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text).strip().upper()
    return _SPOKEN.sub("", normal.replace("-", ""))
