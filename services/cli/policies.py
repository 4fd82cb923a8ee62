"""`amends policy`: versions of the policy of service levels."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

import click
import yaml

from services.cli.output import away
from services.runtime import mongo
from services.runtime.retries import UNAVAILABLE
from services.runtime.settings import RuntimeSettings, load
from services.service_levels.policy import PolicyError, read_policy
from services.service_levels.policy_store import PolicyStore
from services.service_levels.versions import in_force
from services.service_levels.written_form import written

T = TypeVar("T")

EXIT_REFUSED: Final = 1
EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h."""
PACKAGED: Final[dict[str, Literal["sla", "demo"]]] = {"default": "sla", "sla": "sla", "demo": "demo"}


@click.group
def policy() -> None:
    """Limits, warnings and escalation. Versions are added, never changed; a clock keeps the one it started with."""


@policy.command(name="load")
@click.argument("file")
def load_file(file: str) -> None:
    """Add the version in FILE, or put the packaged `default` or `demo` in force if it is not.

    Exits with 1 and every problem when something is wrong; then nothing is changed.
    """
    path, now = Path(file), datetime.now(UTC)
    try:
        if file in PACKAGED and not path.exists():
            packaged = read_policy(packaged=PACKAGED[file])
            number = _ask(lambda store: store.add_renumbered(packaged, now=now))
            click.echo(f"policy {packaged.name} is loaded as version {number}")
            return
        read = read_policy(path)
        is_new = _ask(lambda store: store.add(read, now=now))
    except PolicyError as error:
        _refuse([f"{file}: {problem}" for problem in error.problems])
    click.echo(
        f"version {read.version} of {read.name} is loaded, in force from {read.effective_from.isoformat()}"
        if is_new
        else f"version {read.version} of {read.name} was loaded before; nothing is changed"
    )


@policy.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_all(*, as_json: bool) -> None:
    """All versions and the times from which they hold."""
    versions = _ask(lambda store: store.versions())
    now_in_force = in_force(versions, datetime.now(UTC))
    rows: list[dict[str, Any]] = [
        {
            "version": v.version,
            "name": v.name,
            "effective_from": v.effective_from.isoformat(),
            "clocks": len(v.clocks),
            "in_force": v is now_in_force,
        }
        for v in versions
    ]
    if as_json:
        click.echo(json.dumps({"versions": rows}, ensure_ascii=False))
        return
    for row in rows:
        mark = "*" if row["in_force"] else " "
        click.echo(f"{mark} {row['version']:>4}  {row['name']:<24} from {row['effective_from']}")


@policy.command
@click.argument("version", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
def show(*, version: int | None, as_json: bool) -> None:
    """One version, or the one in force, as YAML that `load` understands."""
    versions = _ask(lambda store: store.versions())
    wanted = in_force(versions, datetime.now(UTC)) if version is None else None
    shown = wanted or next((v for v in versions if v.version == version), None)
    if shown is None:
        known = ", ".join(str(v.version) for v in versions) or "none"
        _refuse([f"no such version; loaded are: {known}. The first start of the SLA monitor loads the default."])
    if as_json:
        click.echo(shown.model_dump_json())
        return
    click.echo(yaml.safe_dump(written(shown), allow_unicode=True, sort_keys=False), nl=False)


def _ask(question: Callable[[PolicyStore], Awaitable[T]]) -> T:
    settings = load(RuntimeSettings)

    async def ask() -> T:
        return await question(PolicyStore(mongo.connect(settings.mongo, database=settings.mongo_database)))

    try:
        return asyncio.run(ask())
    except UNAVAILABLE as error:
        click.echo(away("The database", "AMENDS_MONGO", error), err=True)
        sys.exit(EXIT_UNAVAILABLE)


def _refuse(problems: list[str]) -> NoReturn:
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(EXIT_REFUSED)
