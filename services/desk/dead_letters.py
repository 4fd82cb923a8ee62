"""Messages that could not be processed: seen, processed again, given up. Their payloads are shown to nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from services.desk.accounts import Wrong
from services.desk.audit import Entry
from services.desk.customer_request import reason_problems
from services.desk.refusal import Refusal
from services.desk.signing_in import Auditing
from services.runtime.letters import AWAY, Letter, dead_letter_topics
from services.runtime.logging import get_logger

log = get_logger(__name__)

SHOWN_MAX: Final = 200
"""Of each partition, the newest."""
CHOSEN_MAX: Final = 500
SECONDS_MAX: Final = 30.0
RETRY_AFTER_S: Final = 5
_NAMED_MAX: Final = 10
_HEADER_CHARACTERS_MAX: Final = 4000


class Letters(Protocol):
    """See `runtime/letters.py`."""

    async def read(self, topics: Sequence[str], *, latest: int | None = None) -> list[Letter]:
        """Oldest first."""

    async def replay(self, letters: Sequence[Letter]) -> None:
        """Send them to their topics again, and remember that."""

    async def discard(self, letters: Sequence[Letter]) -> None:
        """Remember that they need no replay."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a wish to replay."""

    sent: tuple[str, ...]
    before: tuple[str, ...]
    """Had been replayed or discarded before, so nothing was done."""
    homeless: tuple[str, ...]
    """No header says which topic they came from."""


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """What people may do about dead letters. Every method raises the refusal `kafka-away`; then nothing is lost."""

    letters: Letters
    auditing: Auditing
    # Two people who replay the same at once would send it twice.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def newest(self, topic: str) -> list[dict[str, Any]]:
        """Summaries, newest first; of all topics when `topic` is empty."""
        async with _answering():
            found = await self.letters.read(_topics(topic), latest=SHOWN_MAX)
        return [letter.summary() for letter in reversed(found)]

    async def show(self, wanted: str) -> dict[str, Any]:
        """The summary of one, and its headers as text, `{"headers": [(name, text)]}`.

        Raises:
            Refusal: `no-such-letter`.
        """
        (letter,) = await self._chosen([wanted])
        headers = [(name, _text(value)) for name, value in letter.original.headers]
        size = len(letter.original.value or b"")
        return letter.summary() | {"headers": headers, "value_bytes": size}

    async def replay(self, wanted: Sequence[str], *, entry: Callable[..., Entry]) -> Replayed:
        """Process these again.

        Raises:
            Refusal: `no-such-letter`, and then none is sent; `wrong-fields`.
        """
        async with self._turn:
            return await self._sent(await self._chosen(wanted), entry=entry)

    async def replay_topic(self, topic: str, *, entry: Callable[..., Entry]) -> Replayed:
        """Process all of a topic again that were not yet; of all topics when `topic` is empty."""
        async with self._turn:
            async with _answering():
                found = await self.letters.read(_topics(topic))
            return await self._sent([letter for letter in found if not letter.was_replayed], entry=entry)

    async def discard(self, wanted: Sequence[str], *, reason: str, entry: Callable[..., Entry]) -> Sequence[str]:
        """Give up what can never be mended; gives those that were open until now.

        Raises:
            Refusal: `no-such-letter`; `wrong-fields` without a reason.
        """
        if problems := reason_problems(reason):
            raise Refusal("wrong-fields", problems=problems)
        async with self._turn:
            open_ones = [letter for letter in await self._chosen(wanted) if not letter.was_replayed]
            if open_ones:
                about = f"discard {_named(open_ones)}"
                await self.auditing.add(entry("replay_dead_letters", about=about, reason=reason.strip()))
                async with _answering():
                    await self.letters.discard(open_ones)
            return [letter.id for letter in open_ones]

    async def _chosen(self, wanted: Sequence[str]) -> list[Letter]:
        if not 0 < len(wanted) <= CHOSEN_MAX:
            code = "too_many" if wanted else "letters_missing"
            raise Refusal("wrong-fields", problems=[Wrong("letter", code, str(len(wanted)), {"max": CHOSEN_MAX})])
        known = {*dead_letter_topics()}
        topics = {one.partition("/")[0] for one in wanted} & known
        async with _answering():
            found = {letter.id: letter for letter in await self.letters.read(sorted(topics))} if topics else {}
        missing = [one for one in wanted if one not in found]
        if missing:
            problems = [Wrong("letter", "no_such_letter", one[:100], {"letter": one[:100]}) for one in missing]
            raise Refusal("no-such-letter", problems=problems)
        return [found[one] for one in dict.fromkeys(wanted)]

    async def _sent(self, chosen: Sequence[Letter], *, entry: Callable[..., Entry]) -> Replayed:
        fresh = [letter for letter in chosen if not letter.was_replayed]
        sent = [letter for letter in fresh if letter.home]
        if sent:
            await self.auditing.add(entry("replay_dead_letters", about=f"replay {_named(sent)}"))
            async with _answering():
                await self.letters.replay(sent)
        return Replayed(
            sent=tuple(letter.id for letter in sent),
            before=tuple(letter.id for letter in chosen if letter.was_replayed),
            homeless=tuple(letter.id for letter in fresh if not letter.home),
        )


@contextlib.asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Kafka that does not answer is a refusal, at the latest after `SECONDS_MAX`."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            yield
    except AWAY as error:
        log.warning("kafka.away", error=type(error).__name__)
        raise Refusal("kafka-away", retry_after_s=RETRY_AFTER_S) from error


def _topics(name: str) -> list[str]:
    """Only ours: a name is what somebody typed.

    Raises:
        Refusal: `wrong-fields`.
    """
    if not name:
        return dead_letter_topics()
    wanted = dead_letter_topics(name)
    if not set(wanted) <= {*dead_letter_topics()}:
        raise Refusal("wrong-fields", problems=[Wrong("topic", "topic_unknown", name[:100])])
    return wanted


def _named(letters: Sequence[Letter]) -> str:
    """Which ones, as far as an entry of the audit has room."""
    named = ", ".join(letter.id for letter in letters[:_NAMED_MAX])
    return f"{named} and {len(letters) - _NAMED_MAX} more" if len(letters) > _NAMED_MAX else named


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")[:_HEADER_CHARACTERS_MAX]
