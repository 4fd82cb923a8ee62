"""Where commands print."""

from rich.console import Console

_WIDE = 160
"""Columns in a file or a pipe, which have no width of their own: nothing that is read later is cut off."""


def console() -> Console:
    """Standard output: as wide as the terminal is, if it is one."""
    known = Console()
    return known if known.is_terminal else Console(width=_WIDE)
