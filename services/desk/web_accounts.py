"""Pages of accounts: what `people_http.py` offers programs, for people. A new password is made here and shown once."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.responses import Response

from schemas.codes import Language, StaffRole
from services.desk.account_store import AccountStore
from services.desk.accounts import Account, Provider, Wrong, password_problems
from services.desk.people_http import AccountChange, NewAccount, PasswordOfOther, PeopleRoutes
from services.desk.refusal import Refusal
from services.desk.rights import may
from services.desk.web_command import problem_text
from services.desk.web_visit import Endpoint, Visit

ZONES: Final = (
    *("Asia/Shanghai", "Asia/Urumqi", "Asia/Hong_Kong", "Asia/Singapore", "Asia/Bangkok", "Asia/Tokyo", "Asia/Dubai"),
    *("Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Australia/Sydney", "UTC"),
)
"""Offered; any other of the IANA's may be typed."""
_TEXT_MAX: Final = 1000
_PASSWORD_BYTES: Final = 12
_TEXTS: Final = ("shown_as", "role", "language", "time_zone")


@dataclass(frozen=True, kw_only=True)
class AccountPages:
    """The list, a form to add one, and a page of each."""

    people: PeopleRoutes
    accounts: AccountStore

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/accounts", "read_accounts", self.all),
            ("POST", "/accounts", "manage_accounts", self.add),
            ("GET", "/accounts/{name}", "read_accounts", self.one),
            ("POST", "/accounts/{name}", "manage_accounts", self.change),
            ("POST", "/accounts/{name}/password", "manage_accounts", self.password),
            ("POST", "/accounts/{name}/sessions", "manage_accounts", self.sign_out),
            ("POST", "/accounts/{name}/disabled", "manage_accounts", self.disable),
        ]

    async def all(self, visit: Visit) -> Response:
        """By name."""
        return await self._list(visit, {"language": visit.person.language.value, "time_zone": visit.person.time_zone})

    async def add(self, visit: Visit) -> Response:
        """Add one, with a password that is shown once."""
        form = await visit.form()
        name = _text(form, "name")
        password = fresh_password(name)
        about = _about(form)
        try:
            await self.people.add_account(
                visit.request, visit.person, NewAccount(name=name, password=password, **about)
            )
        except Refusal as refusal:
            return await self._list(visit, {"name": name, **about}, refusal=refusal)
        return visit.html("account_password", name=name, password=password)

    async def one(self, visit: Visit) -> Response:
        """One, and what may be changed of it."""
        return await self._one(visit, account := await self._account(visit), _values(account))

    async def change(self, visit: Visit) -> Response:
        """Role, places, language and zone."""
        account, about = await self._account(visit), _about(await visit.form())
        # What stays is not sent: one's own role may not be, but one's other particulars may be changed.
        if about["role"] == account.role.value:
            del about["role"]
        try:
            await self.people.change_account(visit.request, visit.person, account.name, AccountChange(**about))
        except Refusal as refusal:
            return await self._one(visit, account, _values(account) | about, refusal=refusal)
        return visit.go(f"/accounts/{account.name}")

    async def disable(self, visit: Visit) -> Response:
        """Shut it, or open it again."""
        account = await self._account(visit)
        is_shut = _text(await visit.form(), "disabled") == "yes"
        change = AccountChange(disabled=is_shut)
        await self.people.change_account(visit.request, visit.person, account.name, change)
        return visit.go(f"/accounts/{account.name}")

    async def password(self, visit: Visit) -> Response:
        """A new one, which is shown once; the account is signed out everywhere."""
        account = await self._account(visit)
        password = fresh_password(account.name)
        given = PasswordOfOther(password=password)
        await self.people.set_password(visit.request, visit.person, account.name, given)
        return visit.html("account_password", name=account.name, password=password)

    async def sign_out(self, visit: Visit) -> Response:
        """End its sessions."""
        account = await self._account(visit)
        await self.people.end_sessions(visit.request, visit.person, account.name)
        return visit.go(f"/accounts/{account.name}")

    async def _account(self, visit: Visit) -> Account:
        account = await self.accounts.get(visit.path("name"))
        if account is None:
            raise Refusal("no-such-account")
        return account

    async def _list(self, visit: Visit, values: Mapping[str, Any], *, refusal: Refusal | None = None) -> Response:
        status, problems = _wrong(refusal, visit)
        return visit.html(
            "accounts",
            status,
            accounts=[(account, await self.people.doors.person(account)) for account in await self.accounts.all()],
            values={"name": "", "shown_as": "", "role": "", "departments": [], "units": [], **values},
            **_form_content(visit, problems),
        )

    async def _one(
        self, visit: Visit, account: Account, values: Mapping[str, Any], *, refusal: Refusal | None = None
    ) -> Response:
        status, problems = _wrong(refusal, visit)
        return visit.html(
            "account",
            status,
            account=account,
            belongs=await self.people.doors.person(account),
            values=values,
            is_local=account.provider is Provider.LOCAL,
            **_form_content(visit, problems),
        )


def fresh_password(name: str) -> str:
    """One that nobody thought of, good by the rules for this name."""
    while True:
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        if not password_problems(password, name=name):
            return password


def _wrong(refusal: Refusal | None, visit: Visit) -> tuple[int, Sequence[tuple[str, str]]]:
    if refusal is None:
        return 200, []
    if not refusal.problems:
        return refusal.status, [("", refusal.told(visit.person.language)["detail"])]
    return refusal.status, [(_field(one), problem_text(one, visit)) for one in refusal.problems]


def _field(one: Wrong) -> str:
    """The field of the form: several codes are one."""
    return one.field.partition(".")[0]


def _form_content(visit: Visit, problems: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "roles": list(StaffRole),
        "languages": list(Language),
        "zones": ZONES,
        "problems": problems,
        "wrong": dict(problems),
        "may_manage": may(visit.person, "manage_accounts"),
    }


def _text(form: FormData, name: str) -> str:
    return str(form.get(name) or "").strip()[:_TEXT_MAX]


def _about(form: FormData) -> dict[str, Any]:
    codes = {name: _text(form, name).split() for name in ("departments", "units")}
    return {name: _text(form, name) for name in _TEXTS} | codes


def _values(account: Account) -> dict[str, Any]:
    return {
        "shown_as": account.shown_as,
        "role": account.role.value,
        "departments": list(account.departments),
        "units": list(account.units),
        "language": account.language.value,
        "time_zone": account.time_zone,
    }
