"""Versions of single texts that take the place of those that come with the product. Pure.

A text is that of one moment, channel and language. Each version holds from a time on; the one that began last is in
force. A version that says `is_packaged` goes back to the text that comes with the product. Versions are never changed:
what was sent can be read again.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.codes import DeliveryChannel, Language, Moment


class Shape(StrEnum):
    """What a text is made for."""

    SMS = "sms"
    EMAIL = "email"


class TextKey(NamedTuple):
    """Which text."""

    moment: Moment
    shape: Shape
    language: Language

    def __str__(self) -> str:
        """As `answered.sms.zh`."""
        return f"{self.moment}.{self.shape}.{self.language}"


KEYS: Final = tuple(TextKey(m, s, language) for m in Moment for s in Shape for language in Language)


class Text(BaseModel):
    """One version of one text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    moment: Moment
    shape: Shape
    language: Language
    version: int = Field(ge=1)
    subject: str = ""
    """Of a letter."""
    body: str = ""
    is_packaged: bool = False
    effective_at: AwareDatetime
    written_at: AwareDatetime
    written_by: str
    """Account of whoever wrote it."""

    @property
    def key(self) -> TextKey:
        """Which text it is a version of."""
        return TextKey(self.moment, self.shape, self.language)

    @property
    def name(self) -> str:
        """As `answered.sms.zh@3`."""
        return f"{self.key}@{self.version}"


def shape_of(channel: DeliveryChannel) -> Shape:
    """SMS is a text, anything else a letter."""
    return Shape.SMS if channel is DeliveryChannel.SMS else Shape.EMAIL


def in_force(versions: Iterable[Text], at: datetime) -> dict[TextKey, Text]:
    """The version of each text that holds at a time; none: the text that comes with the product."""
    chosen: dict[TextKey, Text] = {}
    for text in versions:
        before = chosen.get(text.key)
        later = before is None or (before.effective_at, before.version) < (text.effective_at, text.version)
        if text.effective_at <= at and later:
            chosen[text.key] = text
    return {key: text for key, text in chosen.items() if not text.is_packaged}
