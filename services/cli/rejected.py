"""`amends rejected`: what the intake refused, and why."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

import click
from rich.table import Column, Table

from deploy.local.run_file import read_run, run_folder
from schemas.codes import Language
from services.cli import output
from services.intake.problems import wording
from services.intake.rejected_store import MongoRejectedStore
from services.runtime import mongo
from services.runtime.rejected import Rejected
from services.runtime.sealing import CannotOpen, Keyring
from services.runtime.settings import RuntimeSettings, load

T = TypeVar("T")
EXIT_UNKNOWN = 1
TIMEOUT_S = 5.0


@click.group
def rejected() -> None:
    """Complaints that the intake refused, with their reasons."""


@rejected.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many, latest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(*, limit: int, as_json: bool) -> None:
    """Show the latest. Reasons only: what was sent may be personal."""
    found = _run(_latest(_store(_settings()), limit))
    if as_json:
        for one in found:
            click.echo(json.dumps(_summary(one)))
        return
    if not found:
        click.echo("Nothing was refused.")
        return
    others = (Column(name, overflow="fold") for name in ("At", "Route", "Channel", "Reasons", "Bytes"))
    table = Table(Column("Id", no_wrap=True), *others)
    for one in found:
        reasons = "\n".join(f"{name or 'body'}: {code}" for name, code in one.reasons)
        at = f"{one.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(one.rejected_id), at, one.route, one.channel or "", reasons, str(one.body_bytes))
    output.console().print(table)


@rejected.command
@click.argument("rejected_id", type=click.UUID)
@click.option("--body", is_flag=True, help="Open what was sent, too. It may be personal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(*, rejected_id: UUID, body: bool, as_json: bool) -> None:
    """Show one, with what to do about each reason."""
    settings = _settings()
    one = _run(_store(settings).find(rejected_id))
    if one is None:
        click.echo(f"There is no rejected complaint {rejected_id}; see `amends rejected list`.", err=True)
        raise SystemExit(EXIT_UNKNOWN)
    told = _summary(one)
    if body:
        try:
            opened = Keyring.load(settings.keyring).open(one.body, about=one.rejected_id)
        except CannotOpen as error:
            raise click.ClickException(str(error)) from None
        told["body"] = opened.decode("utf-8", "backslashreplace")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"{one.rejected_id}  {one.at.isoformat()}  {one.route}  {one.channel or ''}  {one.body_bytes} bytes")
    for name, code in one.reasons:
        what, todo = wording(code, {}, Language.EN)
        click.echo(f"  {name or 'body'}: {code}: {what} {todo}")
    if body:
        click.echo(told["body"])


def _settings() -> RuntimeSettings:
    """Of the environment; else of the stack that runs in the folder."""
    run = read_run(run_folder()) or {}
    given = {name: run[name] for name in ("mongo", "keyring") if name in run}
    return load(RuntimeSettings, **given)


def _store(settings: RuntimeSettings) -> MongoRejectedStore:
    database = mongo.connect(settings.mongo, database=settings.mongo_database)
    return MongoRejectedStore(database, timeout_s=TIMEOUT_S, kept_s=0)


async def _latest(store: MongoRejectedStore, limit: int) -> list[Rejected]:
    return [one async for one in store.latest(limit)]


def _run(asked: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(asked)
    except mongo.UNAVAILABLE as error:
        raise click.ClickException(output.away("The database", "AMENDS_MONGO", error)) from None


def _summary(one: Rejected) -> dict[str, Any]:
    return {
        "id": str(one.rejected_id),
        "at": one.at.isoformat(),
        "route": one.route,
        "channel": one.channel,
        "kind": one.kind,
        "reasons": [{"field": name, "code": code} for name, code in one.reasons],
        "body_bytes": one.body_bytes,
    }
