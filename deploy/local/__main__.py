"""Fetch and build what the local stack and its tests need, before anything waits for it: `python -m deploy.local`."""

import sys

import click

from deploy.local.chromium import chromium
from deploy.local.database import server
from deploy.local.java import java
from deploy.local.kafka import fetch_jars
from deploy.local.part import PartUnavailableError


@click.command()
def main() -> None:
    """Fetch Kafka, build the database, find a browser. Ends with 1 and a sentence for each part that failed."""
    failed = False
    for prepare in (java, fetch_jars, server, chromium):
        try:
            click.echo(prepare())
        except PartUnavailableError as error:
            click.echo(error, err=True)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
