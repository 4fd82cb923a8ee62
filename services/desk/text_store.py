"""Texts that people write for complainants: collection `wording_texts`, one document per version, never changed."""

from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError

from services.runtime.logging import get_logger
from services.runtime.mongo import Database
from services.wording.texts import Text, TextKey

log = get_logger(__name__)


class TextStore:
    """Versions of texts."""

    def __init__(self, database: Database) -> None:
        self._texts = database["wording_texts"]

    async def all(self) -> list[Text]:
        """Every version of every text: some hundreds at most. One that cannot be read is left out."""
        return await self._read({})

    async def of(self, key: TextKey) -> list[Text]:
        """The versions of one text, the first first."""
        return sorted(await self._read({"text": str(key)}), key=lambda one: one.version)

    async def add(self, text: Text) -> bool:
        """Keep a version; False: somebody else has written one of that number meanwhile."""
        try:
            await self._texts.insert_one({"_id": text.name, "text": str(text.key), **text.model_dump()})
        except DuplicateKeyError:
            return False
        return True

    async def _read(self, query: dict[str, str]) -> list[Text]:
        found = []
        async for document in self._texts.find(query):
            try:
                found.append(Text.model_validate(document))
            except ValidationError:
                log.warning("text.unreadable", text=str(document["_id"]))
        return found
