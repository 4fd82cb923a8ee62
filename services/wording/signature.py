"""Under which name the network writes. Pure."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from schemas.codes import Language


class Signature(BaseModel):
    """What of the notification policy stands in texts; the rest of that file is left unread."""

    model_config = ConfigDict(frozen=True)

    sender: dict[Language, str]
    """The name that stands before an SMS and under a letter."""
    hotline: str | None = None
    """Told where a person may want to speak to somebody."""

    @model_validator(mode="after")
    def _has_every_name(self) -> Self:
        if missing := set(Language) - set(self.sender):
            raise ValueError(f"sender: no name in {', '.join(sorted(missing))}")
        return self
