"""What is done with texts for complainants: looked at, tried on examples, saved as a new version."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.codes import Language, Moment
from services.desk.accounts import Wrong
from services.desk.person import Person
from services.desk.refusal import Refusal
from services.wording.checking import LETTER_CHARACTERS_MAX, SUBJECT_CHARACTERS_MAX, Example, examples, flaws
from services.wording.in_force import Wordings
from services.wording.templates import Templates
from services.wording.texts import KEYS, Shape, Text, TextKey, in_force


class Texts(Protocol):
    """See `text_store.py`."""

    async def all(self) -> list[Text]:
        """Every version of every text."""

    async def of(self, key: TextKey) -> list[Text]:
        """The versions of one text, the first first."""

    async def add(self, text: Text) -> bool:
        """Keep a version; False: there is one of that number."""


class WrittenText(BaseModel):
    """A new version, as somebody wrote it."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field("", max_length=4 * SUBJECT_CHARACTERS_MAX, description="Of a letter.")
    body: str = Field("", max_length=4 * LETTER_CHARACTERS_MAX, description="Of an SMS, or of a letter.")
    is_packaged: bool = Field(False, description="Go back to the text that comes with the product.")
    effective_at: AwareDatetime | None = Field(None, description="From when it holds; left out: at once.")


@dataclass(frozen=True, slots=True)
class Standing:
    """One text: what comes with the product, and what was written in its place."""

    key: TextKey
    packaged: tuple[str, str]
    """Subject and body."""
    versions: Sequence[Text]
    in_force: Text | None
    """None: the packaged one."""

    @property
    def version(self) -> int:
        """The number of the latest version; 0: there is none."""
        return max((one.version for one in self.versions), default=0)

    def words(self, version: int) -> tuple[str, str] | None:
        """Subject and body of a version; 0 is the packaged one."""
        text = next((one for one in self.versions if one.version == version), None)
        if text is None:
            return None if version else self.packaged
        return self.packaged if text.is_packaged else (text.subject, text.body)


@dataclass(frozen=True, kw_only=True)
class TextHandlers:
    """Texts for complainants."""

    store: Texts
    packaged: Templates
    now: Callable[[], datetime]

    async def templates(self, at: datetime) -> Templates:
        """What is in force at a time, as the notifier has it within seconds."""
        return (await self.wordings()).at(at)

    async def wordings(self) -> Wordings:
        """All versions there are."""
        wordings = Wordings(self.packaged)
        wordings.learn(await self.store.all())
        return wordings

    async def overview(self) -> list[Standing]:
        """All texts."""
        versions = await self.store.all()
        return [self._standing(key, [one for one in versions if one.key == key]) for key in KEYS]

    async def one(self, key: TextKey) -> Standing:
        """One text."""
        return self._standing(key, await self.store.of(key))

    def text(self, key: TextKey, written: WrittenText, *, version: int, by: Person) -> Text:
        """A version that is not kept yet."""
        now, has_words = self.now(), not written.is_packaged
        return Text(
            **key._asdict(),
            version=version,
            subject=_tidy(written.subject) if has_words and key.shape is Shape.EMAIL else "",
            body=_tidy(written.body) if has_words else "",
            is_packaged=written.is_packaged,
            effective_at=written.effective_at or now,
            written_at=now,
            written_by=by.id,
        )

    def problems(self, text: Text) -> list[Wrong]:
        """Everything that is wrong with it."""
        found = [Wrong(flaw.part, flaw.code, None, flaw.details) for flaw in flaws(self.packaged, text)]
        if text.effective_at < text.written_at:
            found.append(Wrong("effective_at", "begins_in_past", text.effective_at.isoformat()))
        return found

    def examples(self, text: Text) -> list[Example]:
        """How it reads; one that goes back, as the packaged one does."""
        if text.is_packaged:
            subject, body = self.packaged.source(text.key)
            text = text.model_copy(update={"subject": subject, "body": body})
        return examples(self.packaged, text)

    async def save(
        self,
        key: TextKey,
        written: WrittenText,
        *,
        based_on: int,
        by: Person,
        note: Callable[[Text], Awaitable[None]],
    ) -> Text:
        """Keep a new version. It is `note`d in the audit before it is kept.

        Raises:
            Refusal: `wrong-fields` with all that is wrong, or `moved-on` when it is not based on the latest version.
        """
        latest = (await self.one(key)).version
        text = self.text(key, written, version=latest + 1, by=by)
        if problems := self.problems(text):
            raise Refusal("wrong-fields", problems=problems)
        if based_on != latest:
            raise Refusal("moved-on")
        await note(text)
        if not await self.store.add(text):
            raise Refusal("moved-on")
        return text

    def _standing(self, key: TextKey, versions: Sequence[Text]) -> Standing:
        return Standing(key, self.packaged.source(key), versions, in_force(versions, self.now()).get(key))


def key_of(moment: str, shape: str, language: str) -> TextKey:
    """The text of that name.

    Raises:
        Refusal: `no-such-text`.
    """
    if moment not in set(Moment) or shape not in set(Shape) or language not in set(Language):
        raise Refusal("no-such-text")
    return TextKey(Moment(moment), Shape(shape), Language(language))


def _tidy(written: str) -> str:
    return written.replace("\r\n", "\n").strip()
