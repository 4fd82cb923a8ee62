"""Under which name the network writes. Pure."""

from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from schemas.codes import Language
from services.runtime.written import read_yaml_file


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


def read_signature(policy: Path | None) -> Signature:
    """That of a notification policy; None takes the one that comes with Amends.

    Raises:
        WrongYaml: the file cannot be read.
        ValidationError: it says nothing of a signature.
    """
    return Signature.model_validate(read_yaml_file(policy or files("deploy.policies").joinpath("notifications.yaml")))
