"""Pages of messages that could not be processed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.responses import Response

from schemas.topics import TOPICS
from services.desk.accounts import Wrong
from services.desk.dead_letters import SHOWN_MAX, DeadLetters, Replayed
from services.desk.doors import audited
from services.desk.refusal import Refusal
from services.desk.rights import may
from services.desk.web_visit import Endpoint, Visit

_TEXT_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class DeadLetterPages:
    """The list, one of them, and what is done about them."""

    dead_letters: DeadLetters

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/dead-letters", "read_dead_letters", self.letters),
            ("GET", "/dead-letters/{topic}/{partition}/{offset}", "read_dead_letters", self.letter),
            ("POST", "/dead-letters", "replay_dead_letters", self.act),
        ]

    async def letters(self, visit: Visit) -> Response:
        """The list, newest first."""
        return await self._list(visit)

    async def letter(self, visit: Visit) -> Response:
        """One with its headers. What it says is opened nowhere."""
        wanted = "/".join(visit.path(name) for name in ("topic", "partition", "offset"))
        found = await self.dead_letters.show(wanted)
        return visit.html("dead_letter", letter=found, may_replay=may(visit.person, "replay_dead_letters"))

    async def act(self, visit: Visit) -> Response:
        """Replay what was ticked, replay all of a topic, or discard what was ticked; then the list with what was done.

        Raises:
            Refusal: as `DeadLetters` does.
        """
        form = await visit.form()
        entry = partial(audited, visit.request, visit.person)
        chosen = [str(one) for one in form.getlist("letter")]
        topic = str(form.get("topic") or "")[:_TEXT_MAX]
        match str(form.get("do") or ""):
            case "replay":
                return await self._list(visit, replayed=await self.dead_letters.replay(chosen, entry=entry))
            case "replay_topic":
                return await self._list(visit, replayed=await self.dead_letters.replay_topic(topic, entry=entry))
            case "discard":
                reason = str(form.get("reason") or "")[:_TEXT_MAX]
                done = await self.dead_letters.discard(chosen, reason=reason, entry=entry)
                return await self._list(visit, discarded=done)
            case other:
                raise Refusal("wrong-fields", problems=[Wrong("do", "invalid", other[:100])])

    async def _list(
        self, visit: Visit, *, replayed: Replayed | None = None, discarded: Sequence[str] | None = None
    ) -> Response:
        topic = visit.query("topic")[:_TEXT_MAX]
        return visit.html(
            "dead_letters",
            letters=await self.dead_letters.newest(topic),
            topic=topic,
            topics=sorted(TOPICS),
            shown_max=SHOWN_MAX,
            may_replay=may(visit.person, "replay_dead_letters"),
            replayed=replayed,
            discarded=discarded,
        )
