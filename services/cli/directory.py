"""`amends directory`: departments, outlets, hubs, people, and the policies by which tickets are assigned."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click
import yaml

from services.cli.output import away
from services.organisation.directory import Organisation, WrongOrganisation
from services.organisation.directory_store import DirectoryStore
from services.runtime import mongo
from services.runtime.settings import RuntimeSettings, load
from services.runtime.written import WrongYaml, read_yaml_file

T = TypeVar("T")

EXIT_REFUSED = 1
EXIT_UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""


@click.group
def directory() -> None:
    """Who there is, and who gets which tickets. Routers follow a change within seconds."""


@directory.command(name="load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load_file(file: Path) -> None:
    """Put FILE into force: YAML with any of departments, units, people, assignment, risk. What it leaves out stays.

    Exits with 1 and every problem when something is wrong; then nothing is changed.
    """
    try:
        sections = read_yaml_file(file)
    except WrongYaml as error:
        _refuse([f"{file}: {problem}" for problem in error.problems])
    if not isinstance(sections, dict):
        _refuse([f"{file}: it must be a mapping with departments, units, people, assignment or risk"])
    try:
        loaded = _ask(lambda store: store.load(sections))
    except WrongOrganisation as error:
        _refuse([f"{file}: {problem}" for problem in error.problems])
    click.echo(
        f"version {loaded.version} is in force: {len(loaded.departments)} departments, {len(loaded.units)} units, "
        f"{len(loaded.people)} people, {len(loaded.assignment.rules)} rules of assignment"
    )


@directory.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_all(*, as_json: bool) -> None:
    """Departments with their people and capacity."""
    now = _current()
    rows = [
        {"department": d.code, "name": d.name, "people": len(staff), "capacity": sum(p.capacity for p in staff)}
        for d in now.departments
        for staff in [now.people_by_department[d.code]]
    ]
    if as_json:
        click.echo(json.dumps({"version": now.version, "departments": rows}, ensure_ascii=False))
        return
    click.echo(f"version {now.version}")
    for row in rows:
        click.echo(f"  {row['department']:<20} {row['people']:>4} people, capacity {row['capacity']:>6}  {row['name']}")


@directory.command
def show() -> None:
    """Everything in force, as YAML that `load` understands."""
    content = _current().model_dump(mode="json", exclude={"version"}, exclude_defaults=True)
    click.echo(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), nl=False)


def _current() -> Organisation:
    now = _ask(lambda store: store.current())
    if now is None:
        _refuse(["there is no directory yet: a router loads the packaged one at its first start"])
    return now


def _ask(question: Callable[[DirectoryStore], Awaitable[T]]) -> T:
    settings = load(RuntimeSettings)

    async def ask() -> T:
        database = mongo.connect(settings.mongo, database=settings.mongo_database)
        return await question(DirectoryStore(database))

    try:
        return asyncio.run(ask())
    except mongo.UNAVAILABLE as error:
        click.echo(away("The database", "AMENDS_MONGO", error), err=True)
        sys.exit(EXIT_UNAVAILABLE)


def _refuse(problems: list[str]) -> NoReturn:
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.exit(EXIT_REFUSED)
