"""Directory and policies of the router: collection `directory`, one document per version, the highest is in force."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from pymongo.errors import DuplicateKeyError

from services.organisation.directory import Organisation, SupersededError, WrongOrganisation, organisation
from services.runtime.mongo import Database
from services.runtime.written import read_yaml_file

SECTIONS = ("departments", "units", "people", "assignment", "risk", "handling")


class DirectoryStore:
    """Versions of the organisation."""

    def __init__(self, database: Database) -> None:
        self._directory = database["directory"]

    async def version(self) -> int:
        """The version in force; 0 when there is none."""
        newest = await self._directory.find({}, {"_id": 1}).sort("_id", -1).limit(1).to_list(None)
        return int(newest[0]["_id"]) if newest else 0

    async def current(self) -> Organisation | None:
        """The organisation in force.

        Raises:
            WrongOrganisation: somebody changed the document by hand.
        """
        newest = await self._directory.find({}).sort("_id", -1).limit(1).to_list(None)
        return organisation(_without_id(newest[0])) if newest else None

    async def get(self, version: int) -> Organisation | None:
        """One version.

        Raises:
            WrongOrganisation: somebody changed the document by hand.
        """
        found = await self._directory.find_one({"_id": version})
        return organisation(_without_id(found)) if found else None

    async def load(self, sections: Mapping[str, Any], *, on_top_of: int | None = None) -> Organisation:
        """Put sections (as named in `SECTIONS`) into force; the others stay.

        Args:
            sections: in plain values.
            on_top_of: the version that was changed; without it, whichever is in force.

        Raises:
            WrongOrganisation: with every problem; nothing was changed.
            SupersededError: another version than `on_top_of` is in force.
        """
        if unknown := set(sections) - set(SECTIONS):
            names = sorted(map(str, unknown))
            raise WrongOrganisation([f"{name}: unknown; sections are {', '.join(SECTIONS)}" for name in names])
        while True:
            now = await self.current()
            if on_top_of is not None and on_top_of != (now.version if now else 0):
                raise SupersededError
            before = now.model_dump(mode="json") if now else {}
            wanted = organisation({**before, **sections, "version": (now.version if now else 0) + 1})
            try:
                await self._directory.insert_one({"_id": wanted.version, **wanted.model_dump(mode="json")})
            except DuplicateKeyError:
                continue  # Somebody loaded another version meanwhile: apply ours on top of it.
            return wanted

    async def current_or_packaged(self) -> Organisation:
        """The organisation in force; at the very first start the one that comes with the package."""
        if (now := await self.current()) is not None:
            return now
        wanted = organisation({**packaged(), "version": 1})
        try:
            await self._directory.insert_one({"_id": 1, **wanted.model_dump(mode="json")})
        except DuplicateKeyError:
            return await self.current_or_packaged()
        return wanted


def packaged() -> dict[str, Any]:
    """The sections that come with the package."""
    folder = files("deploy.policies")
    sections: dict[str, Any] = {}
    for name in ("directory.yaml", "assignment.yaml", "handling.yaml"):
        sections |= read_yaml_file(folder / name)
    return sections


def _without_id(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "_id"}
