"""The command `amends`. Each subcommand is a module of this folder, loaded when it is called."""

import importlib
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import click

from deploy.local.run_file import read_run, run_folder

COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "up": ("stack", "up"),
        "scale": ("stack", "scale"),
        "down": ("stack", "down"),
        "status": ("stack", "status"),
        "feed": ("feed", "feed"),
        "classify": ("classify", "classify"),
        "train-classifier": ("train_classifier", "train_classifier"),
        "due": ("due", "due"),
        "verify": ("verify", "verify"),
        "dead-letters": ("dead_letters", "dead_letters"),
        "bench": ("bench.app", "bench"),
        "demo": ("demo", "demo"),
        "policy": ("policies", "policy"),
        "directory": ("directory", "directory"),
        "rejected": ("rejected", "rejected"),
        "keyring": ("keyring", "keyring"),
        "docs": ("docs", "docs"),
    },
)
"""Name of the subcommand: module in this folder, and the click command in it."""

ON_THE_STACK: Final = frozenset({"verify", "dead-letters", "policy", "directory", "rejected"})
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
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"services.cli.{module}"), name)
        return command


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
