"""`amends desk`: the people who work at the desk."""

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NoReturn, TypeVar

import click

from schemas.codes import Language, StaffRole
from services.cli.output import away
from services.desk.account_store import AccountStore
from services.desk.accounts import Account, Provider, Wrong, account_problems, name_problems, password_problems
from services.desk.audit import entry
from services.desk.audit_store import AuditStore
from services.desk.passwords import Passwords
from services.desk.refusal import problem_words
from services.desk.session_store import SessionStore
from services.runtime import mongo
from services.runtime.mongo import Database
from services.runtime.settings import RuntimeSettings, load

T = TypeVar("T")

EXIT_REFUSED = 1
EXIT_UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""

READY_MADE: Final = (
    ("complaint_centre-01", StaffRole.AGENT),
    ("complaint_centre-02", StaffRole.AGENT),
    ("complaint_centre-lead", StaffRole.SUPERVISOR),
    ("centre-manager", StaffRole.CENTRE_MANAGER),
    ("net-1001-desk", StaffRole.OUTLET_STAFF),
    ("net-1003-desk", StaffRole.OUTLET_STAFF),
    ("claims-01", StaffRole.OUTLET_STAFF),
    ("management", StaffRole.MANAGEMENT),
    ("auditor", StaffRole.AUDITOR),
    ("administrator", StaffRole.ADMINISTRATOR),
)
"""Accounts to try each role with; those that the packaged directory names have its departments and units."""


@click.group
def desk() -> None:
    """The desk, where people work on tickets."""


@desk.group
def account() -> None:
    """Accounts of people who sign in with a name and a password."""


@account.command
@click.argument("name")
@click.option("--role", required=True, help=f"One of {', '.join(StaffRole)}.")
@click.option("--shown-as", default="", help="The name that colleagues see.")
@click.option("--department", "departments", multiple=True, help="Besides what the directory says; may be repeated.")
@click.option("--unit", "units", multiple=True, help="Outlet or hub, besides what the directory says; may be repeated.")
@click.option("--language", default=Language.ZH.value, show_default=True)
@click.option("--time-zone", default="Asia/Shanghai", show_default=True)
def add(
    *,
    name: str,
    role: str,
    shown_as: str,
    departments: tuple[str, ...],
    units: tuple[str, ...],
    language: str,
    time_zone: str,
) -> None:
    """Add an account. The password is asked for, or read from standard input.

    Exits with 1 and every problem when something is wrong; then nothing is changed.
    """
    problems = name_problems(name) + account_problems(
        shown_as=shown_as or name,
        role=role,
        departments=departments,
        units=units,
        language=language,
        time_zone=time_zone,
    )
    password = _password()
    problems += password_problems(password, name=name)
    if problems:
        _refuse(problems)
    made = Account(
        name=name,
        shown_as=shown_as or name,
        role=StaffRole(role),
        departments=departments,
        units=units,
        language=Language(language),
        time_zone=time_zone,
        changed_at=datetime.now(UTC),
    )

    async def work(database: Database) -> bool:
        hashed = await Passwords().hash(password)
        await _audit(database, f"add {name}")
        return await AccountStore(database).add(replace(made, password=hashed))

    if not _ask(work):
        _end(f"There is an account {name} already.")
    click.echo(f"{name} may sign in as {role}")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(*, as_json: bool) -> None:
    """Show all accounts."""
    for one in _ask(lambda database: AccountStore(database).all()):
        if as_json:
            about = {"name": one.name, "shown_as": one.shown_as, "role": one.role, "disabled": one.disabled}
            more = {"departments": one.departments, "units": one.units, "provider": one.provider}
            click.echo(json.dumps(about | more, ensure_ascii=False))
        else:
            state = "disabled" if one.disabled else one.provider.value
            click.echo(f"{one.name:<28} {one.role:<16} {state:<10} {' '.join((*one.departments, *one.units))}")


@account.command
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let it sign in again.")
def disable(*, name: str, undo: bool) -> None:
    """Keep an account from signing in, and end its sessions at once."""

    async def work(database: Database) -> bool:
        found = await AccountStore(database).get(name)
        if found is None:
            return False
        await _audit(database, f"{'enable' if undo else 'disable'} {name}")
        await AccountStore(database).change(replace(found, disabled=not undo, changed_at=datetime.now(UTC)), was=found)
        await SessionStore(database).end_all(name)
        return True

    if not _ask(work):
        _end(f"There is no account {name}; see `amends desk account list`.")
    click.echo(f"{name} is {'enabled' if undo else 'disabled'}")


@account.command
@click.argument("name")
def password(*, name: str) -> None:
    """Give an account a new password, and end its sessions. It is asked for, or read from standard input."""
    fresh = _password()
    if problems := password_problems(fresh, name=name):
        _refuse(problems)

    async def work(database: Database) -> str:
        found = await AccountStore(database).get(name)
        if found is None:
            return f"There is no account {name}; see `amends desk account list`."
        if found.provider is not Provider.LOCAL:
            return f"{name} signs in at the identity provider; change the password there."
        await _audit(database, f"password of {name}")
        await _give(database, found, fresh)
        return ""

    if why := _ask(work):
        _end(why)
    click.echo(f"{name} has a new password")


@account.command
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def demo(*, as_json: bool) -> None:
    """Make an account for each role, for trying; each time with new passwords, which are shown this once."""
    for name, role, fresh in _ask(ready_made):
        if as_json:
            click.echo(json.dumps({"name": name, "role": role, "password": fresh}))
        else:
            click.echo(f"{role:<16} {name:<24} {fresh}")


async def ready_made(database: Database) -> list[tuple[str, str, str]]:
    """Make the accounts of `READY_MADE`, or give those that are there new passwords: (name, role, password) of each."""
    store, made = AccountStore(database), []
    await _audit(database, "ready-made accounts")
    for name, role in READY_MADE:
        fresh = secrets.token_urlsafe(12)
        wanted = Account(name=name, shown_as=name, role=role, changed_at=datetime.now(UTC))
        await store.add(wanted)
        await _give(database, wanted, fresh)
        made.append((name, role.value, fresh))
    return made


async def _give(database: Database, account: Account, fresh: str) -> None:
    hashed = await Passwords().hash(fresh)
    changed = replace(account, password=hashed, changed_at=datetime.now(UTC))
    await AccountStore(database).change(changed, was=account)
    await SessionStore(database).end_all(account.name)


async def _audit(database: Database, about: str) -> None:
    at = datetime.now(UTC)
    await AuditStore(database).add(entry("manage_accounts", at=at, by=None, about=f"{about} (at the machine)"))


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _ask(work: Callable[[Database], Awaitable[T]]) -> T:
    settings = load(RuntimeSettings)

    async def ask() -> T:
        return await work(mongo.connect(settings.mongo, database=settings.mongo_database))

    try:
        return asyncio.run(ask())
    except mongo.UNAVAILABLE as error:
        click.echo(away("The database", "AMENDS_MONGO", error), err=True)
        sys.exit(EXIT_UNAVAILABLE)


def _refuse(problems: list[Wrong]) -> NoReturn:
    for one in problems:
        what, todo = problem_words(one.code, one.details, Language.EN)
        value = "" if one.value is None else f" {one.value!r}"
        sys.stderr.write(f"{one.field}{value}: {what}. {todo}\n")
    sys.exit(EXIT_REFUSED)


def _end(why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.exit(EXIT_REFUSED)
