"""Where a page ended, as the caller carries it: opaque, and of no use once anything of it was changed. Pure."""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Final

Sign = Callable[[str, str], str]
"""Keyed digest (hex) of a kind and a text, as `Keyring.blind`."""

_KIND: Final = "desk-cursor"
_MARK_CHARACTERS: Final = 32


class WrongCursor(ValueError):  # noqa: N818  # said of the text
    """It was not made here, or for another question."""


def cursor(position: str, *, fingerprint: str, sign: Sign) -> str:
    """The text that stands for a position in the order of a question."""
    content = base64.urlsafe_b64encode(f"{fingerprint}|{position}".encode()).decode().rstrip("=")
    return f"{content}.{_mark(content, sign)}"


def position(text: str, *, fingerprint: str, sign: Sign) -> str:
    """The position that a cursor stands for.

    Raises:
        WrongCursor: it was altered, or belongs to another question.
    """
    content, _, mark = text.partition(".")
    if not (content.isascii() and hmac.compare_digest(mark.encode(), _mark(content, sign).encode())):
        raise WrongCursor("it is not one of ours: take `next` of the page before, as it is")
    try:
        asked, _, found = base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)).decode().partition("|")
    except (binascii.Error, ValueError):
        raise WrongCursor("it is not one of ours: take `next` of the page before, as it is") from None
    if asked != fingerprint:
        raise WrongCursor("it belongs to another question: begin again without it")
    return found


def _mark(content: str, sign: Sign) -> str:
    return sign(_KIND, content)[:_MARK_CHARACTERS]
