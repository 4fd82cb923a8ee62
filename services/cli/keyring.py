"""`amends keyring`: keys that personal data is sealed with, in a file, for one machine."""

from pathlib import Path

import click

from services.runtime.sealing import BrokenKeyring, FileKeyProvider


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


@keyring.command
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def rotate(path: Path) -> None:
    """Add a key to the keyring at PATH and seal with it from now on; what older keys sealed goes on opening.

    Restart the intake afterwards. The others read the file again when they meet the new key.
    """
    try:
        current = FileKeyProvider(path).rotate()
    except (FileNotFoundError, BrokenKeyring) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{path}: {current} seals from the next start of the intake; keep a copy of the file")
