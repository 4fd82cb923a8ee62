"""Files that people write: YAML read strictly, and every mistake told at once, with its place and value.

Beside what YAML itself refuses, these are mistakes: a key that is there twice (the last would win in silence), a date
or number that is none, aliases that stand for more than `VALUES_MAX` values or for themselves. `22:00` without quotes
is text, as in YAML 1.2; YAML 1.1 reads it as the number 1320.
"""

import re
from collections.abc import Iterator
from datetime import time
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

VALUES_MAX: Final = 500_000
"""How many values a file may hold, an alias counting for all that it stands for."""
_SHOWN_CHARACTERS_MAX: Final = 100
_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class WrongYaml(ValueError):  # noqa: N818  # said of the file
    """A file that cannot be read. `problems` has one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_yaml_file(file: Path | Traversable) -> Any:
    """The plain values in a file.

    Raises:
        WrongYaml: it cannot be read, or is not what the module says.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongYaml([str(error)]) from None
    return read_yaml(text)


def read_yaml(text: str) -> Any:
    """The plain values in a text.

    Raises:
        WrongYaml: with every mistake, each with its line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        checked = _Check(loader)
        checked.count(node, "")
        if checked.problems:
            raise WrongYaml(checked.problems)
        return loader.construct_document(node)
    except RecursionError:
        raise WrongYaml(["nested too deep"]) from None
    except yaml.YAMLError as error:
        raise WrongYaml([printable(" ".join(str(error).split()))]) from None


def told(refusal: ValidationError) -> list[str]:
    """What pydantic found, a line for each mistake: path, value, rule."""
    return [line for mistake in refusal.errors(include_url=False) for line in _lines(mistake)]


def wall_time(written: Any) -> Any:
    """Hold a time of day to be written as text, and on the wall clock.

    Pydantic reads a number as seconds since midnight, which nobody means, and an offset makes it no wall time.

    Raises:
        ValueError: it is another.
    """
    if isinstance(written, str) and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?", written.strip()):
        return written
    if isinstance(written, time) and written.tzinfo is None:
        return written
    raise ValueError("is no time of day; write '08:00'")


def printable(text: str) -> str:
    """A text without characters that no encoding has."""
    return text.encode("utf-8", "backslashreplace").decode()


def _lines(mistake: Any) -> Iterator[str]:
    path = printable(".".join(str(step)[:_SHOWN_CHARACTERS_MAX] for step in mistake["loc"]))
    # A validator that found several has them in its exception.
    several = getattr(mistake.get("ctx", {}).get("error"), "problems", None)
    if several:
        yield from (f"{path}.{problem}" if path else problem for problem in several)
        return
    value, is_shown = mistake["input"], mistake["type"] != "missing" and not isinstance(mistake["input"], dict | list)
    said = f" {_short(value)}" if is_shown else ""
    yield f"{path or 'file'}:{said} {mistake['msg'].removeprefix('Value error, ')}"


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 1000:  # more digits than Python writes
        return "a number too large to write"
    text = repr(value)
    return printable(text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "…")


class _WithoutColon:
    """One of YAML 1.1's patterns of numbers, without those in base sixty."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def match(self, text: str) -> Any:
        return None if ":" in text else self._pattern.match(text)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own way to change them
        first: [(tag, _WithoutColon(pattern) if tag in _NUMBERS else pattern) for tag, pattern in resolvers]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Check:
    """Walks through what was written, before anything is made of it."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._counted: dict[int, int] = {}
        """Values by node; 0 while it is being counted."""
        self.problems: list[str] = []

    def count(self, node: yaml.Node, path: str) -> int:
        """How many values a node stands for. Mistakes go to `problems`."""
        known = self._counted.get(id(node))
        if known is not None:
            if known == 0:
                self._note(node, path, "refers to itself")
            return known
        self._counted[id(node)] = 0
        total = 1 + self._inside(node, path)
        if total > VALUES_MAX:
            self._note(node, path, f"stands for more than {VALUES_MAX} values")
            total = 1  # told once
        self._counted[id(node)] = total
        return total

    def _inside(self, node: yaml.Node, path: str) -> int:
        if isinstance(node, yaml.ScalarNode):
            self._read(node, path)
            return 0
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return sum(self.count(one, f"{path}[{place}]") for place, one in enumerate(node.value))

    def _mapping(self, node: yaml.MappingNode, path: str) -> int:
        seen: set[Any] = set()
        total = 0
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            inner = f"{path}.{name}" if path else str(name)
            total += self.count(key, inner) + self.count(value, inner)
            if isinstance(key, yaml.ScalarNode):
                read = self._read(key, inner)
                if read in seen:
                    self._note(key, inner, "is there twice; the first would be lost")
                seen.add(read)
        return total

    def _read(self, node: yaml.ScalarNode, path: str) -> Any:
        if node.tag == "tag:yaml.org,2002:merge":
            return node.tag
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            self._note(node, path, f"{_short(node.value)} is no {kind}: {error}")
        except yaml.YAMLError as error:
            self._note(node, path, " ".join(str(error).split()))
        return node.value

    def _note(self, node: yaml.Node, path: str, what: str) -> None:
        self.problems.append(printable(f"{path or 'file'} (line {node.start_mark.line + 1}): {what}"))
