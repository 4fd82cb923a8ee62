"""The command itself."""

import click
import pytest
from click.testing import CliRunner

from services.cli.app import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_it_says_itself(name: str) -> None:
    """The line in the list is kept apart from the command, so that the list needs no imports."""
    command = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
    assert command.get_short_help_str(limit=200) == COMMANDS[name][2]


def test_help_lists_every_command() -> None:
    """Each with its line."""
    said = CliRunner().invoke(main, ["--help"]).output
    assert all(name in said and line in said for name, (_, _, line) in COMMANDS.items())
