"""Where commands print, and what they say when a part is away."""

from rich.console import Console

_WIDE = 160
"""Columns in a file or a pipe, which have no width of their own: nothing that is read later is cut off."""


def away(part: str, setting: str, error: BaseException) -> str:
    """A sentence that says which part does not answer, and what to do.

    Args:
        part: as people call it, with its address where that may be shown.
        setting: name of the variable that holds its address.
        error: of which the kind alone is told, since its text may hold a password.
    """
    kind = type(error).__name__
    return f"{part} does not answer ({kind}). Set {setting}, or start a stack in this folder with `amends up`."


def console() -> Console:
    """Standard output: as wide as the terminal is, if it is one."""
    known = Console()
    return known if known.is_terminal else Console(width=_WIDE)
