"""The command `amends`. Each subcommand is a module of this folder, loaded when it is called."""

import importlib
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import click

from deploy.local.run_file import read_run, run_folder

COMMANDS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "up": ("stack", "up", "Start Amends on this machine."),
        "scale": ("stack", "scale", "Run more or fewer processes of a service."),
        "down": ("stack", "down", "Stop what `up` started. Data stays."),
        "status": ("stack", "status", "Say what runs, where, and whether it is ready."),
        "feed": ("feed", "feed", "Send the complaints of a file."),
        "classify": ("classify", "classify", "Say what complaint texts are about."),
        "train-classifier": ("train_classifier", "train_classifier", "Build the classifier's trained data file."),
        "due": ("due", "due", "Say when a clock is due, and show how it was counted."),
        "verify": ("verify", "verify", "Was anything lost, doubled or late?"),
        "dead-letters": ("dead_letters", "dead_letters", "Messages that could not be processed."),
        "bench": ("bench.app", "bench", "Measure parts, or all of them."),
        "demo": ("demo", "demo", "Start everything, feed complaints, and show it live."),
        "policy": ("policies", "policy", "Limits, warnings and escalation."),
        "directory": ("directory", "directory", "Who there is, and who gets which tickets."),
        "desk": ("desk", "desk", "The desk, where people work on tickets."),
        "rejected": ("rejected", "rejected", "Complaints that the intake refused, with their reasons."),
        "keyring": ("keyring", "keyring", "Keys that personal data is sealed with."),
        "docs": ("docs", "docs", "Write schemas and tables in docs/ anew from the code."),
    },
)
"""Name of the subcommand: module in this folder, the click command in it, and what it says of itself in a line."""

ON_THE_STACK: Final = frozenset({"verify", "dead-letters", "policy", "directory", "desk", "rejected"})
"""Those that talk to Kafka or the database: without addresses of their own they take those of `amends up`."""


class Lazy(click.Group):
    """A group that imports a subcommand when it is asked for, so that `amends --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """All names, in the order they are listed above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import and return one."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in ON_THE_STACK:
            use_running_stack()
        module, name, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"services.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """List all of them without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def use_running_stack() -> None:
    """Put the addresses of a stack that runs in this folder into the environment, where nothing else is said."""
    run = read_run(run_folder()) or {}
    for name in ("kafka", "mongo", "redis", "keyring"):
        if name in run:
            os.environ.setdefault(f"AMENDS_{name.upper()}", str(run[name]))


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="amends")
def main() -> None:
    """Complaint tickets for logistics networks: never lost, on time, answered."""
