"""What happens on the public form and on the private page. Takes Protocols; knows no HTTP."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from schemas import events as e
from schemas import ids
from schemas.codes import Clock, Language
from schemas.notes import Note
from schemas.topics import TICKET_COMMAND
from services.portal import actions
from services.portal.actions import Act, Given
from services.portal.case import REPLIES, AppealWindow, Case, fold
from services.portal.complaint import NOT_HELD, Draft, Kept, Trouble, troubles
from services.portal.promise import Promise, next_promise
from services.portal.tokens import Done, LinkHolder, Tokens
from services.portal.uploads import ChosenFile, Unavailable, Uploads
from services.portal.wording import Wording
from services.runtime.private_link import PrivateLink, Unusable
from services.runtime.producing import Outgoing

POLL_S: Final = 0.15
REFUSED_S: Final = 0.1
"""So long it takes to say of a link that it opens nothing: longer than the look-ups of one that once did."""
_WITH_WORDS: Final = frozenset({*REPLIES, "customer_awaited", "apologised"})
"""Steps whose note may have words for the complainant."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a complaint has come, as the intake tells it."""

    number: str | None
    next: str
    """One sentence."""
    ticket_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What somebody who has complained is told."""

    progress: Progress
    promise: Promise | None = None
    """What comes next and by when; None while it is not known."""
    time_zone: str = "UTC"

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to wait for: a number, and a time where there will be one."""
        return self.progress.number is not None and self.promise is not None and self.promise.kind != "open"


class Intake(Protocol):
    """Where complaints go."""

    async def submit(
        self, body: Mapping[str, Any], *, key: str, language: Language
    ) -> UUID | Sequence[Mapping[str, Any]]:
        """The complaint's id, or everything that is wrong with it (members of RFC 9457's `errors`).

        Raises:
            Unavailable: it could not be taken now.
        """

    async def progress(self, complaint_id: UUID, *, wait_s: float, language: Language) -> Progress | None:
        """How far it has come; None for one that nobody knows.

        Raises:
            Unavailable: nobody can tell now.
        """


class Links(Protocol):
    """Whom a link was made for."""

    def read(self, token: str, now: datetime) -> PrivateLink | Unusable:
        """See `private_link.PrivateLinks.read`."""


class Revocations(Protocol):
    """Links that were taken back."""

    async def generation(self, ticket_id: UUID) -> int:
        """Links of the ticket of an earlier generation do not count.

        Raises:
            Unavailable: the database does not answer.
        """


@dataclass(frozen=True, slots=True)
class Told:
    """A message that went to the complainant, or is to go."""

    moment: str
    state: str
    channel: str
    to: str
    """Masked."""
    at: datetime


class Tickets(Protocol):
    """What others write about tickets. Nothing is written here.

    Every call raises `Unavailable` when the database does not answer.
    """

    async def events(self, ticket_id: UUID) -> Sequence[e.TicketEvent]:
        """All, in order; none for a ticket that is not there."""

    async def due(self, ticket_id: UUID) -> Mapping[Clock, datetime]:
        """When the clocks are due that run."""

    async def appeal_window(self, ticket_id: UUID, *, version: int) -> AppealWindow | None:
        """How long one may appeal; None while this is not known of the ticket's event number `version`."""

    async def messages(self, ticket_id: UUID, complaint_id: UUID) -> Sequence[Told]:
        """Messages to the complainant of one complaint, and about what the same person sent later; the latest first."""


class Notes(Protocol):
    """Words, sealed. Every call raises `Unavailable` when the database does not answer."""

    async def for_customer(self, refs: Collection[UUID], *, ticket: UUID) -> Mapping[UUID, str]:
        """What the complainant may read of these notes of a ticket, where there is something."""

    async def put(self, ref: UUID, note: Note, *, ticket: UUID, at: datetime) -> None:
        """Keep one about a ticket. Again is harmless."""


class Publisher(Protocol):
    """The way to the broker."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when all are acknowledged.

        Raises:
            Unavailable: they are not.
        """


@dataclass(frozen=True, slots=True)
class NotSent:
    """The form again, with everything that was typed."""

    draft: Draft
    troubles: tuple[Trouble, ...] = ()
    away: Unavailable | None = None


class Complaints:
    """The public form."""

    def __init__(self, *, intake: Intake, uploads: Uploads, tickets: Tickets, now: Callable[[], datetime]) -> None:
        self._intake = intake
        self._uploads = uploads
        self._tickets = tickets
        self._now = now

    async def send(self, draft: Draft, files: Sequence[ChosenFile], *, words: Wording) -> UUID | NotSent:
        """Hand a complaint to the intake; gives its id, or all that is wrong with it at once."""
        keeping = await self._uploads.keep(draft.form, files, before=draft.kept, words=words)
        draft = draft.with_files(keeping.kept)
        if keeping.away:
            return NotSent(draft, keeping.troubles, keeping.away)
        try:
            evidence, gone = await self._uploads.evidence(draft.form, draft.kept, words=words)
            wrong = [*keeping.troubles, *gone]
            body = draft.body(language=words.language, evidence=[*evidence, *([NOT_HELD] if wrong else [])])
            outcome = await self._intake.submit(body, key=draft.key(), language=words.language)
        except Unavailable as away:
            return NotSent(draft, keeping.troubles, away)
        return outcome if isinstance(outcome, UUID) else NotSent(draft, (*troubles(outcome, words=words), *wrong))

    async def receipt(self, complaint_id: UUID, *, wait_s: float, words: Wording) -> Receipt | None:
        """How far it has come, and what comes next; None for a complaint that nobody knows.

        Raises:
            Unavailable: nobody can tell now.
        """
        progress = await self._intake.progress(complaint_id, wait_s=wait_s, language=words.language)
        if progress is None:
            return None
        if progress.number is None or progress.ticket_id is None:
            return Receipt(progress)
        try:
            case = fold(await self._tickets.events(progress.ticket_id))
            due = await self._tickets.due(progress.ticket_id)
        except Unavailable:
            return Receipt(progress)  # The number is worth more than the time.
        return (
            Receipt(progress, next_promise(case, due, now=self._now()), case.time_zone) if case else Receipt(progress)
        )


class OutcomeKind(StrEnum):
    """What became of an action."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of an action, with the reason when the router refused it."""

    kind: OutcomeKind
    act: Act
    why: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the private page shows."""

    case: Case
    promise: Promise
    words: Mapping[UUID, str]
    """Of answers and questions, by note."""
    messages: Sequence[Told]
    acts: tuple[Act, ...]
    form: str
    """Token of its forms."""
    outcome: Outcome | None = None
    window: AppealWindow | None = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """An action that was not asked of the router, and what was given, so that nothing is lost."""

    given: Given
    kept: tuple[Kept, ...] = ()
    problems: tuple[Trouble, ...] = ()
    why: str = ""
    """Code of a refusal as a whole."""
    away: Unavailable | None = None
    form: str | None = None
    """The form's number, when it is to be shown again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatePage:
    """One ticket for its complainant."""

    links: Links
    revocations: Revocations
    tickets: Tickets
    notes: Notes
    uploads: Uploads
    publisher: Publisher
    tokens: Tokens
    now: Callable[[], datetime]
    pause: Callable[[float], Awaitable[None]]
    outcome_s_max: float
    refused_links: Callable[[str], None] = field(default=lambda _reason: None)
    """Told why a link opened nothing, for counting."""

    async def holder(self, token: str) -> LinkHolder | None:
        """Whom a link was made for; None, without a reason, when it opens nothing.

        Every refusal takes the same time: nobody learns from it how far a guess came.

        Raises:
            Unavailable: the database does not answer.
        """
        began_at = self.now()
        holder = await self._read(token)
        if holder is None:
            await self.pause(max(0.0, REFUSED_S - (self.now() - began_at).total_seconds()))
        return holder

    async def _read(self, token: str) -> LinkHolder | None:
        link = self.links.read(token, self.now())
        if isinstance(link, Unusable):
            self.refused_links(link.value)
            return None
        if link.generation < await self.revocations.generation(link.ticket):
            self.refused_links("revoked")
            return None
        # A link names its complaint by the first bytes of the id alone, to be short.
        case = fold(await self.tickets.events(link.ticket))
        complaint = next((one for one in case.complaints if link.is_of(one)), None) if case else None
        if complaint is None:
            self.refused_links("no_ticket")
            return None
        return LinkHolder(link.ticket, complaint, link.made_at)

    async def view(self, holder: LinkHolder, *, done: Done | None = None, form: str | None = None) -> View | None:
        """The page; None when the ticket is not there or not of the holder's complaint.

        Args:
            holder: whom the link was made for.
            done: an action whose outcome is waited for.
            form: number of a form that is shown again.

        Raises:
            Unavailable: the database does not answer.
        """
        events = await self.tickets.events(holder.ticket_id)
        outcome = _outcome(events, done) if done else None
        if done:
            for _ in range(int(self.outcome_s_max / POLL_S)):
                if outcome is None or outcome.kind is not OutcomeKind.PENDING:
                    break
                await self.pause(POLL_S)
                events = await self.tickets.events(holder.ticket_id)
                outcome = _outcome(events, done)
        case = fold(events)
        if case is None or holder.complaint_id not in case.complaints:
            self.refused_links("no_ticket")
            return None
        now, window = self.now(), await self._window(case)
        refs = {step.note_ref for step in case.steps if step.note_ref and step.kind in _WITH_WORDS}
        return View(
            case=case,
            promise=next_promise(case, await self.tickets.due(holder.ticket_id), now=now),
            words=await self.notes.for_customer(refs, ticket=case.ticket_id),
            messages=await self.tickets.messages(holder.ticket_id, holder.complaint_id),
            acts=actions.possible(case, window, now=now),
            window=window,
            form=self.tokens.form(holder, reply=_reply(case), number=form),
            outcome=outcome,
        )

    async def act(
        self, holder: LinkHolder, given: Given, *, form: str, files: Sequence[ChosenFile], kept: Sequence[Kept],
        words: Wording,
    ) -> Done | NotDone | None:  # fmt: skip
        """Ask the router for what a form wants; None when there is no such ticket.

        What was asked for with the same form and content before is not asked for again.
        """
        shown = self.tokens.read_form(form, holder)
        if shown is None:
            return NotDone(given, why="form_unknown")
        try:
            events = await self.tickets.events(holder.ticket_id)
        except Unavailable as away:
            return NotDone(given, tuple(kept), away=away, form=shown.number)
        case = fold(events)
        if case is None or holder.complaint_id not in case.complaints:
            return None
        if why := self._stale(given, case, shown.reply):
            again = Done(given.act, (actions.command_id(given, ticket_id=case.ticket_id, form=shown.number),))
            is_decided = _outcome(events, again).kind is not OutcomeKind.PENDING
            return again if is_decided else NotDone(given, tuple(kept), why=why)
        return await self._ask(given, case=case, form=shown.number, files=files, before=kept, words=words)

    async def _ask(
        self, given: Given, *, case: Case, form: str, files: Sequence[ChosenFile], before: Sequence[Kept],
        words: Wording,
    ) -> Done | NotDone:  # fmt: skip
        keeping = await self.uploads.keep(form, files, before=before, words=words)
        given = replace(given, files=tuple(one.sha256 for one in keeping.kept))
        if keeping.away:
            return NotDone(given, keeping.kept, keeping.troubles, away=keeping.away, form=form)
        found = actions.problems(given)
        if keeping.troubles and found.get("words") == "nothing_added":
            del found["words"]  # Something was chosen; what is wrong with it is said.
        problems = [*keeping.troubles, *(Trouble(name, words.problem(code)) for name, code in found.items())]
        try:
            evidence, gone = await self.uploads.evidence(form, keeping.kept, words=words)
            if problems or gone:
                return NotDone(given, keeping.kept, (*problems, *gone), form=form)
            command = actions.command_id(given, ticket_id=case.ticket_id, form=form)
            if given.words:
                # Before the command: whoever acts on it must be able to read them.
                ref = ids.note_ref(command, case.ticket_id)
                await self.notes.put(ref, Note(text=given.words), ticket=case.ticket_id, at=self.now())
            await self.uploads.claim(evidence, of=case.ticket_id)
            asked = actions.commands(given, case=case, command=command, evidence=evidence, at=self.now())
            await self.publisher.publish([Outgoing(TICKET_COMMAND, one) for one in asked])
        except Unavailable as away:
            return NotDone(given, keeping.kept, away=away, form=form)
        return Done(given.act, tuple(one.command_id for one in asked))

    async def _window(self, case: Case) -> AppealWindow | None:
        if not actions.is_possible(Act.APPEAL, case):
            return None
        return await self.tickets.appeal_window(case.ticket_id, version=case.version)

    @staticmethod
    def _stale(given: Given, case: Case, reply: int) -> str:
        """Why the form does not fit what stands now; empty when it does."""
        if not actions.is_possible(given.act, case):
            return "illegal_in_state"
        if given.act in {Act.ACCEPT, Act.APPEAL} and reply != _reply(case):
            return "version_moved_on"
        if given.language is case.language:
            return "unchanged"
        return ""


def _reply(case: Case) -> int:
    return case.reply.sequence if case.reply else 0


def _outcome(events: Sequence[e.TicketEvent], done: Done) -> Outcome:
    """What became of commands, by what happened because of them. The first says whether it was refused."""
    caused = {command: [one for one in events if one.causation_id == command] for command in done.commands}
    for one in caused[done.commands[0]]:
        if isinstance(one, e.TicketCommandRefused):
            return Outcome(OutcomeKind.REFUSED, done.act, one.why)
    return Outcome(OutcomeKind.DONE if all(caused.values()) else OutcomeKind.PENDING, done.act)
