"""What a complainant may do on the private page in each state of a ticket, and the commands that it becomes. Pure.

The router decides; this table keeps from the page what it would refuse anyway.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid5

from schemas import commands as c
from schemas import ids
from schemas.codes import ActorKind, Language, TicketState
from schemas.message import Actor
from services.portal.case import AppealWindow, Case

S = TicketState

WORDS_MAX: Final = 5000
SCORES: Final = (1, 2, 3, 4, 5)


class Act(StrEnum):
    """What can be done."""

    ADD = "add"
    """Words, files or both. It answers what was asked for, when the ticket waits for that."""
    ACCEPT = "accept"
    APPEAL = "appeal"
    REOPEN = "reopen"
    """Say that what counts as settled is not, where an appeal is not possible any more."""
    RATE = "rate"
    WITHDRAW = "withdraw"
    CHOOSE_LANGUAGE = "choose_language"
    STOP_SURVEYS = "stop_surveys"


_COMMANDS: Final[Mapping[Act, str]] = MappingProxyType(
    {
        Act.ADD: "add_evidence",
        Act.ACCEPT: "accept",
        Act.APPEAL: "appeal",
        Act.REOPEN: "reopen",
        Act.RATE: "record_survey",
        Act.WITHDRAW: "withdraw",
        Act.CHOOSE_LANGUAGE: "choose_language",
        Act.STOP_SURVEYS: "stop_surveys",
    }
)
"""The command that each becomes, by which `schemas/ticket.py` says whether it is possible."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a form of the private page brought."""

    act: Act
    words: str = ""
    score: int | None = None
    files: tuple[str, ...] = ()
    """Checksums (SHA-256, hex) of what was uploaded, in order."""
    language: Language | None = None
    """In which the complainant wants to be written to."""


def possible(case: Case, window: AppealWindow | None = None, *, now: datetime) -> tuple[Act, ...]:
    """What may be done now; without a window it is not known how long one may appeal."""
    is_late = window is not None and not window.is_open(now)
    acts = [act for act in Act if is_possible(act, case) and not (act is Act.APPEAL and is_late)]
    return tuple(act for act in acts if not (act is Act.REOPEN and Act.APPEAL in acts))


def is_possible(act: Act, case: Case) -> bool:
    """Whether the router would take it, as far as state and history tell."""
    # Of a closed one the pages say how to complain anew: how long it can be reopened is known to the router alone.
    return _COMMANDS[act] in case.possible and (act is not Act.REOPEN or case.state is S.RESOLVED)


def problems(given: Given) -> dict[str, str]:
    """What is wrong with what was given, as a code of the wording by field; empty when nothing is."""
    found: dict[str, str] = {}
    if len(given.words) > WORDS_MAX:
        found["words"] = "words_too_long"
    elif given.act is Act.APPEAL and not given.words:
        found["words"] = "reason_missing"
    elif given.act is Act.REOPEN and not given.words:
        found["words"] = "missing_is_missing"
    elif given.act is Act.ADD and not (given.words or given.files):
        found["words"] = "nothing_added"
    if given.act is Act.RATE and given.score not in SCORES:
        found["score"] = "score_missing"
    if given.act is Act.CHOOSE_LANGUAGE and given.language is None:
        found["language"] = "language_missing"
    return found


def command_id(given: Given, *, ticket_id: UUID, form: str) -> UUID:
    """The command that a form with this content is: the same however often it is sent.

    Args:
        given: its content.
        ticket_id: the ticket.
        form: the form's own number. Who goes back and writes something else into it has done something else.
    """
    chosen = [given.language] if given.language else []
    content = "\0".join((given.act, given.words, str(given.score), *given.files, *chosen))
    return uuid5(ticket_id, f"portal/{form}/{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()}")


def commands(
    given: Given, *, case: Case, command: UUID, evidence: Sequence[UUID], at: datetime
) -> tuple[c.TicketCommand, ...]:
    """What is asked of the router, in order.

    Args:
        given: what the form brought, without problems.
        case: the ticket it was decided on.
        command: id of the first.
        evidence: ids of the files.
        at: now.
    """
    note_ref = ids.note_ref(command, case.ticket_id) if given.words else None

    def one(id_: UUID, action: c.Action, **more: Any) -> c.TicketCommand:
        return c.TicketCommand(
            routing_key=case.routing_key,
            command_id=id_,
            ticket_id=case.ticket_id,
            issued_at=at,
            actor=Actor(kind=ActorKind.COMPLAINANT, via="portal"),
            action=action,
            **more,
        )

    first = one(
        command,
        _action(given, evidence),
        note_ref=note_ref,
        # Who agrees, agrees to what the page showed: if that is not what stands any more, it has to be read first.
        expected_version=case.version if given.act is Act.ACCEPT else None,
    )
    if given.act is Act.ADD and case.state is S.WAITING_CUSTOMER:
        return first, one(ids.command_id(command, "resume"), c.Resume(), reason="customer_replied")
    return (first,)


_PLAIN: Final[Mapping[Act, c.Action]] = MappingProxyType(
    {
        Act.ACCEPT: c.Accept(),
        Act.APPEAL: c.Appeal(),
        Act.REOPEN: c.Reopen(),
        Act.WITHDRAW: c.Withdraw(),
        Act.STOP_SURVEYS: c.StopSurveys(),
    }
)


def _action(given: Given, evidence: Sequence[UUID]) -> c.Action:
    match given.act:
        case Act.ADD:
            return c.AddEvidence(evidence=tuple(evidence)) if evidence else c.AddNote()
        case Act.RATE:
            assert given.score is not None
            return c.RecordSurvey(score=given.score)
        case Act.CHOOSE_LANGUAGE:
            assert given.language is not None
            return c.ChooseLanguage(language=given.language)
        case act:
            return _PLAIN[act]
