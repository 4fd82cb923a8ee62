"""`amends keyring`: keys that personal data is sealed with, in a file, for one machine."""

from pathlib import Path

import click

from services.runtime.sealing import FileKeyProvider


@click.group
def keyring() -> None:
    """Keys that personal data is sealed with."""


@keyring.command
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def create(path: Path) -> None:
    """Make a keyring at PATH. One that is there is left as it is."""
    there = path.exists()
    FileKeyProvider(path).create()
    click.echo(f"{path}: {'was there, left as it is' if there else 'made; keep a copy, without it no contact opens'}")
