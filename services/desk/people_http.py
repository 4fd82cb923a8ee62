"""Signing in and out, oneself, accounts of others, and the audit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse

from schemas.codes import Language, StaffRole
from services.desk.account_store import AccountStore
from services.desk.accounts import Account, Provider, Wrong, account_problems, name_problems, password_problems
from services.desk.audit import Entry, Sought
from services.desk.audit_store import AuditStore
from services.desk.doors import Doors, Who, address_of, allowed, audited
from services.desk.oidc import ClaimNames
from services.desk.oidc_gateway import OidcGateway
from services.desk.passwords import Passwords
from services.desk.person import Person
from services.desk.refusal import Refusal
from services.desk.rights import rights_of
from services.desk.session import csrf_token, digest
from services.desk.session_store import SessionStore
from services.desk.sign_in_store import Pending, SignInStore
from services.desk.signing_in import SigningIn

CALLBACK: Final = "/v1/sign-in/oidc/callback"
_AT_PROVIDER_MAX: Final = timedelta(minutes=10)
_STATE_COOKIE: Final = "amends-sign-in"
_TEXT_MAX: Final = 1000


class Given(BaseModel):
    """A body. What it may not have is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SignIn(Given):
    """`POST /v1/session`."""

    name: str = Field(max_length=_TEXT_MAX)
    password: str = Field(max_length=_TEXT_MAX)


class NewPassword(Given):
    """`POST /v1/me/password`: `old` is the one that holds until now."""

    old: str = Field(max_length=_TEXT_MAX)
    password: str = Field(max_length=_TEXT_MAX)


class Preferences(Given):
    """`PATCH /v1/me`."""

    language: str | None = Field(None, max_length=_TEXT_MAX)
    time_zone: str | None = Field(None, max_length=_TEXT_MAX)


class AccountChange(Preferences):
    """`PATCH /v1/accounts/{name}`: what is left out stays."""

    shown_as: str | None = Field(None, max_length=_TEXT_MAX)
    role: str | None = Field(None, max_length=_TEXT_MAX)
    departments: list[str] | None = None
    units: list[str] | None = None
    disabled: bool | None = None


class NewAccount(Given):
    """`POST /v1/accounts`."""

    name: str = Field(max_length=_TEXT_MAX)
    shown_as: str = Field("", max_length=_TEXT_MAX, description="Empty: as the name.")
    role: str = Field(max_length=_TEXT_MAX)
    departments: list[str] = []
    units: list[str] = []
    language: str = Field(Language.ZH.value, max_length=_TEXT_MAX)
    time_zone: str = Field("Asia/Shanghai", max_length=_TEXT_MAX)
    password: str = Field(max_length=_TEXT_MAX)


class PasswordOfOther(Given):
    """`POST /v1/accounts/{name}/password`."""

    password: str = Field(max_length=_TEXT_MAX)


class AuditQuery(BaseModel):
    """Parameters of `GET /v1/audit`."""

    model_config = ConfigDict(extra="forbid")

    account: str | None = Field(None, max_length=64, description="Who did it.")
    action: str | None = Field(None, max_length=64)
    ticket: str | None = Field(None, max_length=64, description="By id or number.")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    before: str | None = Field(None, max_length=64, description="`next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


Administers = Annotated[Person, Depends(allowed("manage_accounts"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleRoutes:
    """The routes, and what they work with."""

    doors: Doors
    signing_in: SigningIn
    accounts: AccountStore
    sessions: SessionStore
    pending: SignInStore
    audit: AuditStore
    passwords: Passwords
    oidc: OidcGateway | None
    claim_names: ClaimNames
    local_accounts: bool

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(tags=["people"])
        routes: tuple[tuple[str, str, Callable[..., Any], int, str], ...] = (
            ("GET", "/v1/sign-in", self.ways, 200, "Which ways there are to sign in"),
            ("POST", "/v1/session", self.sign_in, 200, "Sign in with name and password"),
            ("DELETE", "/v1/session", self.sign_out, 204, "Sign out"),
            ("DELETE", "/v1/sessions", self.sign_out_everywhere, 204, "Sign out everywhere"),
            ("GET", "/v1/sign-in/oidc", self.to_provider, 303, "Sign in at the identity provider"),
            ("GET", CALLBACK, self.from_provider, 303, "Come back from the identity provider"),
            ("GET", "/v1/me", self.me, 200, "Who I am and what I may do"),
            ("PATCH", "/v1/me", self.change_me, 200, "Change my language and time zone"),
            ("POST", "/v1/me/password", self.change_my_password, 204, "Change my password"),
            ("GET", "/v1/accounts", self.list_accounts, 200, "All accounts"),
            ("POST", "/v1/accounts", self.add_account, 201, "Add an account"),
            ("PATCH", "/v1/accounts/{name}", self.change_account, 200, "Change or disable an account"),
            ("POST", "/v1/accounts/{name}/password", self.set_password, 204, "Give an account a new password"),
            ("DELETE", "/v1/accounts/{name}/sessions", self.end_sessions, 204, "Sign somebody out everywhere"),
            ("GET", "/v1/audit", self.read_audit, 200, "Who read and did what, the latest first"),
        )
        for method, path, endpoint, status, summary in routes:
            router.add_api_route(
                path, endpoint, methods=[method], status_code=status, summary=summary, response_model=None
            )
        return router

    async def ways(self) -> dict[str, bool]:
        """`{"local": bool, "oidc": bool}`."""
        return {"local": self.local_accounts, "oidc": self.oidc is not None}

    async def sign_in(self, request: Request, response: Response, given: SignIn) -> dict[str, Any]:
        """As `GET /v1/me`, and the session's cookie."""
        if not self.local_accounts:
            raise Refusal("ways-closed")
        self.doors.check_origin(request)
        entered = await self.signing_in.with_password(
            given.name, given.password, address=address_of(request), old=self.doors.session_id(request)
        )
        self.doors.give_session(request, response, entered.session_id)
        return _me(entered.person, entered.session_id)

    async def sign_out(self, request: Request, response: Response, person: Who) -> None:
        """End this session."""
        await self.audit.add(audited(request, person, "sign_out"))
        await self.sessions.end(digest(self.doors.session_id(request) or ""))
        self.doors.give_cookie(request, response, "amends", "", 0)

    async def sign_out_everywhere(self, request: Request, response: Response, person: Who) -> None:
        """End all sessions of mine, this one, too."""
        await self.audit.add(audited(request, person, "sign_out", about="everywhere"))
        await self.sessions.end_all(person.id)
        self.doors.give_cookie(request, response, "amends", "", 0)

    async def to_provider(
        self, request: Request, next_path: Annotated[str, Query(alias="next", max_length=_TEXT_MAX)] = "/"
    ) -> Response:
        """Send the browser to the provider; it comes back to `next`, a path of ours."""
        if self.oidc is None:
            raise Refusal("ways-closed")
        begun = await self.oidc.begin(self.doors.origin(request) + CALLBACK)
        ends_at = self.doors.now() + _AT_PROVIDER_MAX
        await self.pending.begin(
            Pending(
                state=begun.state, nonce=begun.nonce, verifier=begun.verifier, next=own_path(next_path), ends_at=ends_at
            )
        )
        answer = RedirectResponse(begun.url, 303)
        seconds = int(_AT_PROVIDER_MAX.total_seconds())
        self.doors.give_cookie(request, answer, _STATE_COOKIE, begun.state, seconds)
        return answer

    async def from_provider(self, request: Request) -> Response:
        """Check what the provider says, and let the person in."""
        if self.oidc is None:
            raise Refusal("ways-closed")
        state = request.query_params.get("state", "")
        # The cookie ties the answer to the browser that asked: nobody is signed in by a link of somebody else's.
        held = request.cookies.get(self.doors.cookie_name(request, _STATE_COOKIE))
        pending = await self.pending.take(state, now=self.doors.now()) if state and held == state else None
        if pending is None:
            raise Refusal("proof-refused", why="this sign-in was not begun in this browser, or is over")
        claims = await self.oidc.finish(
            dict(request.query_params),
            nonce=pending.nonce,
            verifier=pending.verifier,
            redirect_uri=self.doors.origin(request) + CALLBACK,
        )
        entered = await self.signing_in.with_claims(
            claims, self.claim_names, address=address_of(request), old=self.doors.session_id(request)
        )
        answer = RedirectResponse(pending.next, 303)
        self.doors.give_session(request, answer, entered.session_id)
        self.doors.give_cookie(request, answer, _STATE_COOKIE, "", 0)
        return answer

    async def me(self, request: Request, person: Who) -> dict[str, Any]:
        """`{id, name, role, departments, units, language, time_zone, rights: {action: scope}, csrf_token}`."""
        return _me(person, self.doors.session_id(request) or "")

    async def change_me(self, request: Request, person: Who, given: Preferences) -> dict[str, Any]:
        """As `GET /v1/me`."""
        was = await self._account(person.id)
        account = await self._changed(was, given.model_dump(exclude_none=True))
        await self.accounts.change(account, was=was)
        now = replace(person, language=account.language, time_zone=account.time_zone)
        return _me(now, self.doors.session_id(request) or "")

    async def change_my_password(self, request: Request, person: Who, given: NewPassword) -> None:
        """Change it, and end all other sessions of mine."""
        account = await self._account(person.id)
        if account.provider is not Provider.LOCAL:
            raise Refusal("not-local")
        is_right, _ = await self.passwords.check(given.old, account.password)
        problems = password_problems(given.password, name=account.name)
        if not is_right:
            problems.insert(0, Wrong("old", "password_wrong"))
        if problems:
            raise Refusal("wrong-fields", problems=problems)
        await self.audit.add(audited(request, person, "change_password", about=account.name))
        await self._give_password(account, given.password)
        await self.sessions.end_all(person.id, but=digest(self.doors.session_id(request) or ""))

    async def list_accounts(
        self, _person: Annotated[Person, Depends(allowed("read_accounts"))]
    ) -> dict[str, list[dict[str, Any]]]:
        """`{"accounts": [...]}` by name."""
        return {"accounts": [_shown(account) for account in await self.accounts.all()]}

    async def add_account(self, request: Request, person: Administers, given: NewAccount) -> dict[str, Any]:
        """The account."""
        about = given.model_dump(exclude={"name", "password"}) | {"shown_as": given.shown_as or given.name}
        problems = [*name_problems(given.name), *account_problems(**about)]
        problems += password_problems(given.password, name=given.name)
        if problems:
            raise Refusal("wrong-fields", problems=problems)
        account = Account(
            name=given.name,
            password=await self.passwords.hash(given.password),
            changed_at=self.doors.now(),
            **_typed(about),
        )
        await self.audit.add(audited(request, person, "manage_accounts", about=f"add {account.name}"))
        if not await self.accounts.add(account):
            raise Refusal("account-exists", name=account.name)
        return _shown(account)

    async def change_account(
        self, request: Request, person: Administers, name: str, given: AccountChange
    ) -> dict[str, Any]:
        """The account as it is now. One that is disabled is signed out everywhere."""
        wanted = given.model_dump(exclude_none=True)
        was = await self._account(name)
        if was.name == person.id and {"role", "disabled"} & wanted.keys():
            raise Refusal("own-account")
        account = await self._changed(was, wanted)
        entry = audited(request, person, "manage_accounts", about=f"change {name}", fields=tuple(sorted(wanted)))
        await self.audit.add(entry)
        await self.accounts.change(account, was=was)
        if _administers(was) and not any(map(_administers, await self.accounts.all())):
            # Two who did it to each other at once; looking afterwards, both see it.
            await self.accounts.change(was, was=account)
            raise Refusal("last-administrator")
        if account.disabled:
            await self.sessions.end_all(name)
        return _shown(account)

    async def set_password(self, request: Request, person: Administers, name: str, given: PasswordOfOther) -> None:
        """Give it, and end all sessions of the account."""
        account = await self._account(name)
        if account.provider is not Provider.LOCAL:
            raise Refusal("not-local")
        if problems := password_problems(given.password, name=name):
            raise Refusal("wrong-fields", problems=problems)
        entry = audited(request, person, "manage_accounts", about=f"change {name}", fields=("password",))
        await self.audit.add(entry)
        await self._give_password(account, given.password)
        await self.sessions.end_all(name)

    async def end_sessions(self, request: Request, person: Administers, name: str) -> None:
        """End all sessions of the account."""
        await self._account(name)
        await self.audit.add(audited(request, person, "manage_accounts", about=f"sign out {name}"))
        await self.sessions.end_all(name)

    async def read_audit(
        self,
        request: Request,
        person: Annotated[Person, Depends(allowed("read_audit"))],
        wanted: Annotated[AuditQuery, Query()],
    ) -> dict[str, Any]:
        """`{"entries": [...], "next": cursor or null}`."""
        await self.audit.add(audited(request, person, "read_audit"))
        sought = Sought(
            who=wanted.account,
            action=wanted.action,
            ticket=wanted.ticket,
            since=wanted.since,
            until=wanted.until,
            before=wanted.before,
        )
        entries = await self.audit.page(sought, count_max=wanted.limit)
        following = entries[-1].id if len(entries) == wanted.limit else None
        return {"entries": [_told(one) for one in entries], "next": following}

    async def _account(self, name: str) -> Account:
        account = await self.accounts.get(name)
        if account is None:
            raise Refusal("no-such-account")
        return account

    async def _changed(self, account: Account, wanted: Mapping[str, Any]) -> Account:
        names = ("shown_as", "role", "departments", "units", "language", "time_zone")
        about = {name: wanted.get(name, getattr(account, name)) for name in names}
        if problems := account_problems(**about):
            raise Refusal("wrong-fields", problems=problems)
        disabled = wanted.get("disabled", account.disabled)
        return replace(account, **_typed(about), disabled=disabled, changed_at=self.doors.now())

    async def _give_password(self, account: Account, password: str) -> None:
        hashed = await self.passwords.hash(password)
        await self.accounts.change(replace(account, password=hashed, changed_at=self.doors.now()), was=account)


def own_path(path: str) -> str:
    """The path when it leads to a page of ours, else `/`: nobody is sent elsewhere by a link that looks like ours."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_ours else "/"


def _typed(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **about,
        "role": StaffRole(about["role"]),
        "language": Language(about["language"]),
        "departments": tuple(about["departments"]),
        "units": tuple(about["units"]),
    }


def _me(person: Person, session_id: str) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role.value,
        "departments": list(person.departments),
        "units": list(person.units),
        "language": person.language.value,
        "time_zone": person.time_zone,
        "rights": rights_of(person.role),
        "csrf_token": csrf_token(session_id),
    }


def _administers(account: Account) -> bool:
    return account.role is StaffRole.ADMINISTRATOR and not account.disabled


def _shown(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "shown_as": account.shown_as,
        "role": account.role.value,
        "departments": list(account.departments),
        "units": list(account.units),
        "language": account.language.value,
        "time_zone": account.time_zone,
        "provider": account.provider.value,
        "disabled": account.disabled,
        "changed_at": account.changed_at.isoformat(),
    }


def _told(one: Entry) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": one.at.isoformat(),
        "who": one.who,
        "role": one.role,
        "action": one.action,
        "ticket": one.ticket,
        "about": one.about,
        "fields": list(one.fields),
        "reason": one.reason,
        "address": one.address,
    }
