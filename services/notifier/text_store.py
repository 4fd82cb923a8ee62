"""Texts that people wrote at the desk: collection `wording_texts`, read alone."""

from pydantic import ValidationError

from services.runtime.logging import get_logger
from services.runtime.mongo import Database
from services.wording.texts import Text

log = get_logger(__name__)


class TextStore:
    """All versions of all texts: some hundreds at most."""

    def __init__(self, database: Database) -> None:
        self._texts = database["wording_texts"]

    async def all(self) -> list[Text]:
        """Every version; one that cannot be read is left out."""
        found = []
        async for document in self._texts.find({}):
            try:
                found.append(Text.model_validate(document))
            except ValidationError:
                log.warning("text.unreadable", text=str(document["_id"]))
        return found
