"""Files that come with a form: looked at, handed to the intake once, and found again when the form comes again."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from schemas.codes import Language
from services.portal.complaint import Kept, Trouble
from services.portal.wording import Wording

NAME_CHARACTERS_MAX = 100


class Unavailable(Exception):  # noqa: N818 - said of a part
    """A part is away or full; the same may be asked again after some seconds."""

    def __init__(self, retry_after_s: int = 5) -> None:
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ChosenFile(Protocol):
    """A file of a form that came."""

    filename: str | None
    size: int | None

    async def read(self) -> bytes:
        """All of it."""


class EvidenceTaker(Protocol):
    """Where evidence is kept."""

    async def upload(self, content: bytes, *, language: Language) -> UUID | str:
        """The id that it got, or why it was refused, in words.

        Raises:
            Unavailable: it could not be taken now.
        """


class UploadStore(Protocol):
    """Which files of which form were taken."""

    async def add(self, form: str, sha256: str, evidence: UUID) -> None:
        """Remember one, unless somebody was faster.

        Raises:
            Unavailable: the database does not answer.
        """

    async def find(self, form: str, checksums: Sequence[str]) -> Mapping[str, UUID]:
        """Ids by checksum, of those that are known.

        Raises:
            Unavailable: the database does not answer.
        """

    async def claim(self, evidence: Collection[UUID], *, of: UUID) -> None:
        """Make some a ticket's, unless they are somebody's already.

        Raises:
            Unavailable: the database does not answer.
        """


@dataclass(frozen=True, slots=True)
class Keeping:
    """What became of the files of a form."""

    kept: tuple[Kept, ...]
    """Taken now or before."""
    troubles: tuple[Trouble, ...] = ()
    away: Unavailable | None = None
    """Why it ended early; the rest has to be chosen again."""


class Uploads:
    """Takes files."""

    def __init__(self, *, taker: EvidenceTaker, store: UploadStore, files_max: int, bytes_max: int) -> None:
        self._taker = taker
        self._store = store
        self._files_max = files_max
        self._bytes_max = bytes_max

    async def keep(self, form: str, files: Sequence[ChosenFile], *, before: Sequence[Kept], words: Wording) -> Keeping:
        """Hand over what is chosen and in order; everything that is wrong is told at once."""
        chosen = [file for file in files if file.filename or file.size]
        kept = {one.sha256: one for one in before}
        if len(chosen) + len(kept) > self._files_max:
            return Keeping(
                tuple(before), (Trouble("files", words.problem("too_many_files", files_max=self._files_max)),)
            )
        troubles = []
        for file in chosen:
            name = (file.filename or "")[:NAME_CHARACTERS_MAX].replace("\n", " ")
            if not file.size:
                troubles.append(Trouble("files", words.problem("file_empty", name=name)))
                continue
            if file.size > self._bytes_max:
                troubles.append(Trouble("files", words.problem("file_too_big", name=name, mb=self._bytes_max >> 20)))
                continue
            content = await file.read()
            one = Kept(hashlib.sha256(content).hexdigest(), file.size, name)
            try:
                refused = await self._take(form, one, content, language=words.language)
            except Unavailable as away:
                return Keeping(tuple(kept.values()), tuple(troubles), away)
            if refused:
                troubles.append(Trouble("files", words.problem("file_refused", name=name, why=refused)))
            else:
                kept[one.sha256] = one
        return Keeping(tuple(kept.values()), tuple(troubles))

    async def _take(self, form: str, one: Kept, content: bytes, *, language: Language) -> str | None:
        """Why it was refused; None when it is there."""
        if await self._store.find(form, [one.sha256]):
            return None
        taken = await self._taker.upload(content, language=language)
        if isinstance(taken, str):
            return taken
        # Of two clicks at once both upload it. The first id holds, so that both send the same complaint.
        await self._store.add(form, one.sha256, taken)
        return None

    async def evidence(self, form: str, kept: Sequence[Kept], *, words: Wording) -> tuple[list[UUID], list[Trouble]]:
        """Ids of what was kept, in order; a file that is not known any more is trouble.

        Raises:
            Unavailable: the database does not answer.
        """
        if not kept:
            return [], []
        found = await self._store.find(form, [one.sha256 for one in kept])
        gone = [Trouble("files", words.problem("file_gone", name=one.name)) for one in kept if one.sha256 not in found]
        return [found[one.sha256] for one in kept if one.sha256 in found], gone

    async def claim(self, evidence: Sequence[UUID], *, of: UUID) -> None:
        """Make files a ticket's, so that nobody adds them to another one.

        Raises:
            Unavailable: the database does not answer.
        """
        if evidence:
            await self._store.claim(evidence, of=of)
