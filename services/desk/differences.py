"""What differs between two versions of something that people write as YAML: where, what was, what will be. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import yaml

ORDER: Final = "order"
"""Last step of the place of a change that only moves what is in a list."""
_NAMES: Final = ("name", "code", "id", "role")
"""Fields by which the parts of a list are known, the first that all of them have."""
_WIDTH_MAX: Final = 1_000_000


class Change(NamedTuple):
    """One difference."""

    place: tuple[str, ...]
    """From the outside inwards: keys, and names of parts of lists."""
    before: str | None
    """As YAML on one line; None: it was not there."""
    after: str | None
    """None: it is not there any more."""


def differences(before: Any, after: Any) -> list[Change]:
    """Every difference between two plain values, in the order of what was, and then of what is new."""
    return list(_differences((), before, after))


def as_yaml(value: Any, *, on_one_line: bool = False) -> str:
    """A plain value as people write it."""
    text: str = yaml.safe_dump(
        value,
        allow_unicode=True,
        sort_keys=False,
        default_flow_style=True if on_one_line else None,
        width=_WIDTH_MAX if on_one_line else 120,
    )
    return text.removesuffix("\n").removesuffix("\n...") if on_one_line else text


def _differences(place: tuple[str, ...], before: Any, after: Any) -> Iterator[Change]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_parts(place, before, after)
        return
    if isinstance(before, list) and isinstance(after, list) and (name := _name(before, after)):
        was, is_ = ({str(part[name]): part for part in parts} for parts in (before, after))
        yield from _of_parts(place, was, is_)
        stayed, now = [key for key in was if key in is_], [key for key in is_ if key in was]
        if stayed != now:
            yield Change((*place, ORDER), ", ".join(was), ", ".join(is_))
        return
    yield Change(place, _told(before), _told(after))


def _of_parts(place: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key, value in before.items():
        inner = (*place, str(key))
        if key in after:
            yield from _differences(inner, value, after[key])
        else:
            yield Change(inner, _told(value), None)
    for key, value in after.items():
        if key not in before:
            yield Change((*place, str(key)), None, _told(value))


def _name(*lists: Sequence[Any]) -> str | None:
    """The field that tells the parts apart; None: there is none, and the lists are compared as wholes."""
    for name in _NAMES:
        if all(
            all(isinstance(part, Mapping) and name in part for part in parts)
            and len({str(part[name]) for part in parts}) == len(parts)
            for parts in lists
        ):
            return name
    return None


def _told(value: Any) -> str:
    return value if isinstance(value, str) else as_yaml(value, on_one_line=True)
