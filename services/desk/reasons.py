"""Why a command was refused, in words. Pure."""

from importlib import resources
from typing import Final

from schemas.codes import Language
from services.runtime.written import read_yaml


def in_words(why: str, language: Language) -> str:
    """A reason code as a sentence; a code that has none is told as it is."""
    return REASONS[why][language.value] if why in REASONS else why


REASONS: Final[dict[str, dict[str, str]]] = read_yaml(
    resources.files("services.desk").joinpath("data/reasons.yaml").read_text(encoding="utf-8")
)
