"""How somebody comes in: with a password of ours, or with what an identity provider says. Every try is audited."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from services.desk import audit
from services.desk.accounts import Account, Membership, Provider, name_problems, person_of
from services.desk.audit import Entry
from services.desk.oidc import ClaimNames, account_name, account_of
from services.desk.person import Person
from services.desk.refusal import Refusal
from services.desk.session import Limits, Session, digest, fresh_id

SIGN_IN: Final = "sign_in"
SIGN_IN_REFUSED: Final = "sign_in_refused"


class Accounts(Protocol):
    """Accounts by name, see `account_store.py`."""

    async def get(self, name: str) -> Account | None:
        """One."""

    async def add(self, account: Account) -> bool:
        """Add one; False when the name is taken."""

    async def change(self, account: Account, *, was: Account) -> bool:
        """Write what is other than it was."""

    async def rehash(self, name: str, *, old: str, new: str) -> None:
        """Keep the same password under newer parameters."""


class Sessions(Protocol):
    """Sessions by digest, see `session_store.py`."""

    async def begin(self, session: Session) -> None:
        """Keep a new one."""

    async def end(self, digest: str) -> None:
        """End one."""


class Attempts(Protocol):
    """How often one may try, see `attempt_store.py`."""

    async def count(self, *, account: str, address: str, now: datetime) -> int:
        """Count one try; 0 or the seconds to wait."""

    async def forgive(self, *, account: str, now: datetime) -> None:
        """Forget the account's failures."""


class Memberships(Protocol):
    """Where people belong, see `membership_store.py`."""

    async def of(self, person: str) -> Membership:
        """Of one."""


class Auditing(Protocol):
    """See `audit_store.py`."""

    async def add(self, *entries: Entry) -> None:
        """Keep them; durable when this returns."""


class Hashing(Protocol):
    """See `passwords.py`."""

    async def check(self, password: str, stored: str) -> tuple[bool, str | None]:
        """Whether it is the password; and a newer hash of it."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody came in."""

    session_id: str
    """What the browser holds from now on."""
    person: Person


class SigningIn:
    """Lets people in."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        attempts: Attempts,
        memberships: Memberships,
        auditing: Auditing,
        hashing: Hashing,
        limits: Limits,
        blind: Callable[[str, str], str],
        now: Callable[[], datetime],
    ) -> None:
        """`blind` digests a value of a kind with a key: what is typed as a name may be a password, and is not kept."""
        self._accounts = accounts
        self._sessions = sessions
        self._attempts = attempts
        self._memberships = memberships
        self._auditing = auditing
        self._hashing = hashing
        self._limits = limits
        self._blind = blind
        self._now = now

    async def with_password(self, name: str, password: str, *, address: str, old: str | None) -> Entered:
        """Let somebody in by name and password.

        Args:
            name: of the account, in whichever case.
            password: as it was typed.
            address: of the caller.
            old: id of the session that the browser had until now; it ends.

        Raises:
            Refusal: `too-many-attempts` or `sign-in-failed`, which takes as long and says the same whether the name is
                unknown, the account disabled or the password wrong.
        """
        name, now = name.strip().lower(), self._now()
        key, coarse = self._blind("desk-account", name), audit.coarse(address) or "unknown"
        if wait_s := await self._attempts.count(account=key, address=coarse, now=now):
            raise Refusal("too-many-attempts", retry_after_s=wait_s)
        account = None if name_problems(name) else await self._accounts.get(name)
        stored = account.password if account and account.provider is Provider.LOCAL else ""
        is_right, newer = await self._hashing.check(password, stored)
        if account is None or not is_right or account.disabled:
            about = account.name if account else "unknown name"
            await self._auditing.add(audit.entry(SIGN_IN_REFUSED, at=now, by=None, about=about, address=address))
            raise Refusal("sign-in-failed")
        if newer:
            await self._accounts.rehash(account.name, old=account.password, new=newer)
        entered = await self._begin(account, address=address, old=old, now=now)
        await self._attempts.forgive(account=key, now=now)
        return entered

    async def with_claims(
        self, claims: Mapping[str, Any], names: ClaimNames, *, address: str, old: str | None
    ) -> Entered:
        """Let somebody in whom the identity provider sent; the account is made or brought up to date.

        Raises:
            Refusal: see `oidc.account_of`.
        """
        now, name = self._now(), account_name(claims, names)
        known = await self._accounts.get(name)
        try:
            account = account_of(claims, names, known=known, now=now)
        except Refusal as refusal:
            about = f"{name}: {refusal.kind}"
            await self._auditing.add(audit.entry(SIGN_IN_REFUSED, at=now, by=None, about=about, address=address))
            raise
        if known is None and not await self._accounts.add(account):
            raise Refusal("account-of-another", name=name)  # It was made at this instant: trying again finds it.
        if known is not None and account is not known:
            await self._accounts.change(account, was=known)
        return await self._begin(account, address=address, old=old, now=now)

    async def _begin(self, account: Account, *, address: str, old: str | None, now: datetime) -> Entered:
        person = person_of(account, await self._memberships.of(account.name))
        await self._auditing.add(audit.entry(SIGN_IN, at=now, by=person, about=account.provider.value, address=address))
        session_id = fresh_id()
        await self._sessions.begin(
            Session(
                digest=digest(session_id),
                account=account.name,
                made_at=now,
                seen_at=now,
                ends_at=now + self._limits.absolute,
                address=audit.coarse(address),
            )
        )
        if old:
            await self._sessions.end(digest(old))
        return Entered(session_id, person)
