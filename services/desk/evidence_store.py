"""Files of evidence, which the intake keeps: collections `evidence.files` and `evidence.chunks`, read and opened."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from gridfs.errors import NoFile

from schemas.sealed import Sealed
from services.runtime import evidence as owners
from services.runtime.evidence import BUCKET
from services.runtime.logging import get_logger
from services.runtime.mongo import Database, bucket
from services.runtime.sealing import CannotOpen, Keyring

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a file without opening it."""

    media_type: str
    """Told by its content when it came."""
    size: int
    """In bytes."""


class EvidenceStore:
    """Files by id."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def about(self, ids: Collection[UUID], *, of: Collection[UUID]) -> dict[UUID, About]:
        """Those that are there and not another's than these tickets' and complaints'."""
        if not ids:
            return {}
        found = self._database[f"{BUCKET}.files"].find(owners.open_to(ids, of=of), {"metadata": 1})
        return {UUID(d["_id"]): About(d["metadata"]["media_type"], d["metadata"]["size"]) async for d in found}

    async def read(self, id_: UUID) -> tuple[str, bytes] | None:
        """Media type and content; None: erased, or it cannot be opened."""
        try:
            stream = await bucket(self._database, name=BUCKET).open_download_stream(str(id_))
            ciphertext: bytes = await stream.read()
        except NoFile:
            return None
        about = stream.metadata or {}
        sealed = Sealed(key_id=about["key_id"], nonce=bytes(about["nonce"]), ciphertext=ciphertext)
        try:
            return about["media_type"], self._keyring.open(sealed, about=id_)
        except CannotOpen as error:
            log.warning("evidence.cannot_open", evidence=str(id_), reason=str(error))
            return None

    async def claim(self, ids: Collection[UUID], *, ticket: UUID, complaints: Collection[UUID]) -> set[UUID]:
        """Make files a ticket's that are nobody's; gives those that there are not, and those that are another's."""
        await owners.claim(self._database, ids, of=ticket)
        return await owners.others(self._database, ids, of={ticket, *complaints})
