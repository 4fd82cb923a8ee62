"""Accounts of staff: collection `accounts`, `_id` the account's name."""

from typing import Any

from pymongo.errors import DuplicateKeyError

from schemas.codes import Language, StaffRole
from services.desk.accounts import Account, Provider
from services.runtime.mongo import Database


class AccountStore:
    """One document each, with the fields of `accounts.Account`; `_id` is its name."""

    def __init__(self, database: Database) -> None:
        self._accounts = database["accounts"]

    async def get(self, name: str) -> Account | None:
        """One."""
        document = await self._accounts.find_one({"_id": name})
        return _account(document) if document else None

    async def all(self) -> list[Account]:
        """All, by name."""
        return [_account(document) async for document in self._accounts.find({}).sort("_id", 1)]

    async def add(self, account: Account) -> bool:
        """Add one; False when the name is taken, and then nothing is changed."""
        try:
            await self._accounts.insert_one(_document(account))
        except DuplicateKeyError:
            return False
        return True

    async def change(self, account: Account, *, was: Account) -> bool:
        """Write what is other than it was, and leave what others changed meanwhile; False when there is none."""
        before = _document(was)
        changed = {name: value for name, value in _document(account).items() if value != before[name]}
        if not changed:
            return True
        result = await self._accounts.update_one({"_id": account.name}, {"$set": changed})
        return bool(result.matched_count)

    async def rehash(self, name: str, *, old: str, new: str) -> None:
        """Keep the same password under newer parameters, unless it was changed meanwhile."""
        await self._accounts.update_one({"_id": name, "password": old}, {"$set": {"password": new}})


def _document(account: Account) -> dict[str, Any]:
    return {
        "_id": account.name,
        "shown_as": account.shown_as,
        "role": account.role.value,
        "departments": list(account.departments),
        "units": list(account.units),
        "language": account.language.value,
        "time_zone": account.time_zone,
        "provider": account.provider.value,
        "subject": account.subject,
        "password": account.password,
        "disabled": account.disabled,
        "changed_at": account.changed_at,
    }


def _account(document: dict[str, Any]) -> Account:
    return Account(
        name=document["_id"],
        shown_as=document["shown_as"],
        role=StaffRole(document["role"]),
        departments=tuple(document["departments"]),
        units=tuple(document["units"]),
        language=Language(document["language"]),
        time_zone=document["time_zone"],
        provider=Provider(document["provider"]),
        subject=document["subject"],
        password=document["password"],
        disabled=document["disabled"],
        changed_at=document["changed_at"],
    )
