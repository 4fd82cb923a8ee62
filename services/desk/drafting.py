"""What people type of policies and of the directory, as plain values, and what is wrong with it. Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.desk.accounts import Wrong
from services.runtime.written import WrongYaml, read_yaml
from services.service_levels.policy import VERSION_MAX

TEXT_MAX: Final = 2_000_000
"""Characters. Directories of thousands of outlets have some hundred thousand."""
_PROBLEM: Final = re.compile(r"([^\s:]+)( \(line \d+\))?: (.*)", re.DOTALL)


class WrongDraft(ValueError):  # noqa: N818  # said of what was typed
    """It cannot be used; `problems` are all reasons, each a line with place, value and rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_draft(text: str) -> dict[str, Any]:
    """The mapping that a text is.

    Raises:
        WrongDraft: with every mistake, each with its line.
    """
    if len(text) > TEXT_MAX:
        raise WrongDraft([f"text: has {len(text)} characters; {TEXT_MAX} are read at most"])
    try:
        content = read_yaml(text)
    except WrongYaml as error:
        raise WrongDraft(error.problems) from None
    if not isinstance(content, dict):
        raise WrongDraft(["text: must be a mapping, a name and a colon before each part"])
    return content


def wrongs(problems: Iterable[str]) -> list[Wrong]:
    """Lines as answers carry them: what stands before the colon is the field."""
    return [_wrong(problem) for problem in problems]


def version_number(text: str) -> int:
    """A version's number; 0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= VERSION_MAX else 0


def typed_text(form: Mapping[str, Any], name: str) -> str:
    """A field of a form; empty when it is not there."""
    value = form.get(name)
    # Browsers send line breaks as two characters.
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def fingerprint(*typed: str) -> str:
    """By which it shows whether what is confirmed is what was looked at."""
    return hashlib.sha256("\0".join(typed).encode("utf-8", "surrogatepass")).hexdigest()


def _wrong(problem: str) -> Wrong:
    match = _PROBLEM.fullmatch(problem)
    field, line, said = match.groups() if match else ("", None, problem)
    return Wrong(field, "invalid", None, {"message": f"{line.strip()} {said}" if line else said})
