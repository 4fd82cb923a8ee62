"""What a command does to a ticket: its events, or one `command_refused` with the reason. Pure.

Which command is legal in which state says `schemas/lifecycle.py`, what a ticket's history forbids `schemas/ticket.py`.
Here is what each legal command tells, and why one is refused for what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from schemas import commands as c
from schemas import events as e
from schemas import ids
from schemas.classification import Classification
from schemas.codes import ActorKind, Channel, RiskFlag, Severity, TicketState
from schemas.complaint import Money
from schemas.lifecycle import EARLIER, SETTLED, target
from schemas.ticket import Approval, Ticket, blocked, offer, possible, union
from services.organisation.directory import Organisation

S = TicketState

AHEAD_MAX: Final = timedelta(minutes=5)
"""So far the clock of whoever issues a command may go ahead of the broker's, or behind that of the intake."""
COMPLAINED_AGAIN: Final = "complained_again"
"""Why a settled ticket was opened again."""
NOT_SATISFIED: Final = "not_satisfied"
NEEDS_REASON: Final = frozenset({"return_to_centre", "refuse_approval", "reopen"})
"""A reason code or words must be given."""
CAME_AGAIN: Final = (c.FollowUp, c.AbsorbRepeat)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who gets a ticket."""

    department: str
    unit: str | None
    person: str | None
    unit_calendar: str
    rule: str
    directory_version: int


@dataclass(frozen=True, slots=True)
class Unassignable:
    """Why the assignment that was asked for cannot be made, e.g. `no_such_unit`."""

    why: str


class Refused(Exception):  # noqa: N818  # said of the command
    """A command is refused for what it says; `why` is the reason code."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def wants_assignment(
    ticket: Ticket, command: c.TicketCommand, *, taken_at: datetime, organisation: Organisation
) -> bool:
    """Whether deciding the command needs an assignment: it is legal now and gives the ticket to somebody."""
    gives = isinstance(command.action, c.Assign | c.CompleteReview | c.HandOver)
    return gives and _refused(ticket, command, taken_at, organisation) is None


def decide(
    ticket: Ticket,
    command: c.TicketCommand,
    assignment: Assignment | Unassignable | None = None,
    *,
    taken_at: datetime,
    organisation: Organisation,
) -> list[e.TicketEvent]:
    """What a command does: its events, or one `command_refused` with the reason and what is possible instead.

    Args:
        ticket: where the ticket stands.
        command: what is asked.
        assignment: who would get it; needed when `wants_assignment`.
        taken_at: when the broker took the command. No event is dated later, whatever the command says.
        organisation: the policies and the directory in force.

    Returns:
        The events, numbered on from `ticket.version`. Empty when the router asked for what has been overtaken, or
        offered a waiting ticket to a department in which nobody is free: nothing happened.
    """
    why = _refused(ticket, command, taken_at, organisation)
    story = Story(ticket, command, taken_at, organisation)
    if why is None:
        try:
            _act(story, assignment)
        except Refused as refusal:
            why = refusal.why
        else:
            return story.events
    if command.actor.kind is ActorKind.SYSTEM and not isinstance(command.action, CAME_AGAIN):
        return []
    return [Story(ticket, command, taken_at, organisation).refusal(why)]


def _refused(ticket: Ticket, command: c.TicketCommand, taken_at: datetime, organisation: Organisation) -> str | None:
    """Why the command is refused, whatever it would do."""
    name = command.action.name
    if (why := _wrongly_dated(ticket, command, taken_at)) is not None:
        return why
    if command.expected_version is not None and command.expected_version != ticket.version:
        return "version_moved_on"
    if target(ticket.state, name) is None:
        return "illegal_in_state"
    if (why := blocked(ticket, name)) is not None:
        return why
    return _unfounded(ticket, command, min(command.issued_at, taken_at), organisation)


def _wrongly_dated(ticket: Ticket, command: c.TicketCommand, taken_at: datetime) -> str | None:
    # A follow-up is a customer's word, dated by the intake: it may have waited, and is never turned away.
    if isinstance(command.action, CAME_AGAIN):
        return None
    if command.issued_at > taken_at + AHEAD_MAX:
        return "issued_in_future"
    return "issued_too_early" if command.issued_at < ticket.begun_at - AHEAD_MAX else None


def _unfounded(ticket: Ticket, command: c.TicketCommand, at: datetime, organisation: Organisation) -> str | None:
    since, policy = ticket.state_since or ticket.opened_at, organisation.handling
    if command.action.name in NEEDS_REASON and not command.reason and command.note_ref is None:
        return "reason_missing"
    match command.action:
        case c.Appeal() if ticket.appeals >= policy.appeals_max:
            return "already_appealed"
        case c.Appeal() if at > since + policy.appeal_window:
            return "appeal_window_over"
        case c.Reopen() if at > since + policy.reopen_window:
            return "reopen_window_over"
    return None


class Story:
    """The events of one command, one after the other."""

    def __init__(
        self, ticket: Ticket, command: c.TicketCommand, taken_at: datetime, organisation: Organisation
    ) -> None:
        self.ticket = ticket
        self.command = command
        self.organisation = organisation
        self.at = max(min(command.issued_at, taken_at), ticket.begun_at)
        self.after = _after(ticket, command.action)
        """The state that the command leads to."""
        self.events: list[e.TicketEvent] = []

    def tell(self, kind: type[e.TicketEvent], state: TicketState | None = None, **fields: Any) -> None:
        """Add an event; `state` is the one after it, else the one that the command leads to."""
        # The name of the type tells the steps of one command apart: none of them comes twice.
        self.events.append(self._event(kind, state or self.after, **fields))

    def refusal(self, why: str) -> e.TicketEvent:
        """That it was refused, and what is possible instead."""
        return self._event(
            e.TicketCommandRefused,
            self.ticket.state,
            command=self.command.action.name,
            why=why,
            possible=possible(self.ticket),
        )

    def _event(self, kind: type[e.TicketEvent], state: TicketState, **fields: Any) -> e.TicketEvent:
        command = self.command
        said: dict[str, Any] = {"reason": command.reason, "note_ref": command.note_ref}
        return kind(
            routing_key=self.ticket.routing_key,
            event_id=ids.commanded_event_id(command.command_id, self.ticket.id, kind.TYPE.rpartition(".")[2]),
            ticket_id=self.ticket.id,
            sequence=self.ticket.version + len(self.events) + 1,
            causation_id=command.command_id,
            occurred_at=self.at,
            actor=command.actor,
            state=state,
            **said | fields,
        )


def _after(ticket: Ticket, action: c.Action) -> TicketState:
    after = target(ticket.state, action.name)
    if isinstance(after, TicketState):
        return after
    if after == EARLIER:
        return ticket.earlier or S.INVESTIGATING
    return ticket.state


_PLAIN: Final[Mapping[type[Any], tuple[type[e.TicketEvent], tuple[str, ...]]]] = MappingProxyType(
    {
        c.StartReview: (e.TicketReviewStarted, ()),
        c.FirstAction: (e.TicketFirstActionTaken, ()),
        c.RecordFindings: (e.TicketFindingsRecorded, ("cause", "whys", "responsible_unit", "evidence")),
        c.AddEvidence: (e.TicketEvidenceAdded, ("evidence",)),
        c.Resolve: (e.TicketResolved, ("outcome",)),
        c.WaitForCustomer: (e.TicketCustomerAwaited, ("what",)),
        c.WaitForThirdParty: (e.TicketThirdPartyAwaited, ("whom",)),
        c.Resume: (e.TicketResumed, ()),
        c.RefuseApproval: (e.TicketApprovalRefused, ()),
        c.Apologise: (e.TicketApologised, ("tier",)),
        c.AnswerRegulator: (e.TicketRegulatorAnswered, ()),
        c.RecordPlatformAction: (e.TicketPlatformActed, ()),
        c.Withdraw: (e.TicketWithdrawn, ()),
        c.Close: (e.TicketClosed, ()),
        c.Archive: (e.TicketArchived, ("cause", "remedy")),
    },
)
"""Commands that become one event with the same fields."""


def _act(story: Story, assignment: Assignment | Unassignable | None) -> None:  # noqa: C901, PLR0912  # one per command
    """Tell the events of a legal command.

    Raises:
        Refused: for what it says.
    """
    ticket, action = story.ticket, story.command.action
    match action:
        case c.FollowUp() | c.AbsorbRepeat():
            _come_again(story, action)
        case c.CompleteReview():
            _complete_review(story, action, assignment)
        case c.Assign() | c.HandOver():
            _assign(story, assignment)
        case c.LinkAsRepeat():
            _link(story, action)
        case c.ReturnToCentre():
            story.tell(e.TicketReturned, before_department=ticket.department, before_unit=ticket.unit)
        case c.AddNote():
            _need(story.command.note_ref is not None, "note_missing")
            story.tell(e.TicketNoted)
        case c.ChangeSeverity(severity=severity):
            _need(severity != ticket.severity, "unchanged")
            story.tell(e.TicketSeverityChanged, before=ticket.severity, severity=severity)
        case c.ChooseLanguage(language=language):
            _need(language is not ticket.language, "unchanged")
            story.tell(e.TicketLanguageChosen, language=language)
        case c.ShareLiability() | c.Respond():
            _share(story, action)
        case c.EstimateLoss(loss=loss):
            _need(loss.amount > 0, "amount_not_positive")
            story.tell(e.TicketLossEstimated, loss=loss, goodwill=story.organisation.handling.suggested(loss))
        case c.Answer() | c.DecideAppeal():
            _propose(story, action)
        case c.Approve() | c.RefuseApproval() | c.DelegateApproval():
            _decide_proposal(story, action)
        case c.Accept():
            story.tell(e.TicketAccepted)
            if story.after is not ticket.state:
                story.tell(e.TicketResolved, outcome="accepted")
        case c.Appeal():
            story.tell(e.TicketAppealed, before=ticket.state)
        case c.AgreeClaim() | c.RecordPayment():
            _claim(story, action)
        case c.RequestSurvey() | c.RecordSurvey() | c.StopSurveys():
            _survey(story, action)
        case c.Reopen():
            story.tell(e.TicketReopened, before=ticket.state, received_at=story.at)
        case c.PlanCorrectiveAction() | c.CompleteCorrectiveAction() | c.VerifyCorrectiveAction():
            _correct(story, action)
        case _:
            _tell_plain(story)


def _need(holds: bool, why: str) -> None:  # noqa: FBT001  # reads as a sentence
    if not holds:
        raise Refused(why)


def _tell_plain(story: Story) -> None:
    action = story.command.action
    kind, fields = _PLAIN[type(action)]
    story.tell(kind, **{name: getattr(action, name) for name in fields})


def _come_again(story: Story, action: c.FollowUp | c.AbsorbRepeat) -> None:
    ticket = story.ticket
    kind: type[e.TicketEvent] = e.TicketFollowedUp
    linked: dict[str, Any] = {}
    if isinstance(action, c.AbsorbRepeat):
        kind, linked = e.TicketRepeatLinked, {"from_ticket": action.from_ticket}
    story.tell(
        kind,
        ticket.state,
        complaint_id=action.complaint_id,
        channel=action.channel,
        received_at=action.received_at,
        contact_ref=action.contact_ref,
        masked=action.masked,
        matched_by=action.matched_by,
        repeats=ticket.repeats + 1,
        flags=union((RiskFlag.REPEATED,), action.flags),
        **linked,
    )
    if ticket.state in SETTLED:
        story.tell(e.TicketReopened, before=ticket.state, received_at=action.received_at, reason=COMPLAINED_AGAIN)
    if ticket.severity < Severity.CRITICAL:
        raised = Severity(ticket.severity + 1)
        story.tell(e.TicketSeverityChanged, before=ticket.severity, severity=raised)


def _link(story: Story, action: c.LinkAsRepeat) -> None:
    _need(action.to_ticket != story.ticket.id, "to_itself")
    # Their clocks would end with it, and the other ticket has none.
    _need(story.ticket.channel not in {Channel.REGULATOR, Channel.PLATFORM}, "case_of_its_own")
    story.tell(e.TicketLinked, to_ticket=action.to_ticket, to_routing_key=action.to_routing_key)


def absorbing(ticket: Ticket, event: e.TicketLinked) -> c.TicketCommand:
    """What the other ticket is told when `ticket` was linked to it."""
    return c.TicketCommand(
        routing_key=event.to_routing_key,
        command_id=ids.command_id(event.event_id, "absorb_repeat"),
        ticket_id=event.to_ticket,
        issued_at=event.occurred_at,
        actor=event.actor,
        action=c.AbsorbRepeat(
            complaint_id=ticket.complaint_id,
            channel=ticket.channel,
            received_at=ticket.received_at,
            contact_ref=ticket.contact_ref,
            masked=ticket.masked,
            flags=ticket.flags,
            matched_by="person",
            from_ticket=ticket.id,
        ),
    )


def _assign(story: Story, assignment: Assignment | Unassignable | None) -> None:
    assert assignment is not None
    if isinstance(assignment, Unassignable):
        raise Refused(assignment.why)
    ticket = story.ticket
    given = (assignment.department, assignment.unit, assignment.person)
    if isinstance(story.command.action, c.HandOver):
        _need(given[:2] != (ticket.department, ticket.unit), "unchanged")
        story.tell(e.TicketHandedOver, before_department=ticket.department, before_unit=ticket.unit)
    elif story.after is ticket.state:
        # An offer of the router itself that found nobody free is no news; a person is told that nothing changed.
        _need(given != (ticket.department, ticket.unit, ticket.person), "unchanged")
    _tell_assigned(story, assignment)


def _tell_assigned(story: Story, assignment: Assignment) -> None:
    story.tell(
        e.TicketAssigned,
        department=assignment.department,
        unit=assignment.unit,
        person=assignment.person,
        unit_calendar=assignment.unit_calendar,
        rule=assignment.rule,
        directory_version=assignment.directory_version,
    )


def reviewed(ticket: Ticket, action: c.CompleteReview) -> Classification:
    """The classification after a review: the proposal with the reviewer's corrections, and a person's word for it."""
    assert ticket.classification is not None
    named = ("secondary", "demand", "severity", "flags")
    corrections: dict[str, Any] = {"severity": ticket.severity}
    corrections |= {name: getattr(action, name) for name in named if getattr(action, name) is not None}
    if action.primary is not None:
        corrections |= {"primary": action.primary.category, "sub": action.primary.sub}
    return ticket.classification.model_copy(update=corrections | {"confidence": 1.0, "needs_review": False})


def _complete_review(story: Story, action: c.CompleteReview, assignment: Assignment | Unassignable | None) -> None:
    assert assignment is not None
    if isinstance(assignment, Unassignable):
        raise Refused(assignment.why)
    ticket = story.ticket
    said = reviewed(ticket, action)
    story.tell(e.TicketReviewCompleted)
    if action != c.CompleteReview():
        story.tell(e.TicketClassified, classification=said, major=ticket.major)
    if said.severity != ticket.severity:
        story.tell(e.TicketSeverityChanged, before=ticket.severity, severity=said.severity)
    _tell_assigned(story, assignment)


def _share(story: Story, action: c.ShareLiability | c.Respond) -> None:
    ticket, units = story.ticket, story.organisation.unit_by_code
    if isinstance(action, c.Respond):
        share = next((share for share in ticket.shares if share.unit == action.unit), None)
        if share is None or share.has_responded:
            raise Refused("no_such_share" if share is None else "already_responded")
        story.tell(e.TicketUnitResponded, unit=action.unit)
        return
    known = [(share, units.get(share.unit.upper())) for share in action.shares]
    _need(all(unit is not None for _, unit in known), "no_such_unit")
    shares = tuple(
        e.Liable(unit=unit.code, percent=share.percent, unit_calendar=unit.calendar, department=ticket.department)
        for share, unit in known
        if unit
    )
    _need(
        [(s.unit, s.percent) for s in shares] != [(s.unit, s.percent) for s in ticket.shares],
        "unchanged",
    )
    story.tell(e.TicketLiabilityShared, shares=shares)


def _claim(story: Story, action: c.AgreeClaim | c.RecordPayment) -> None:
    ticket, actor, amount = story.ticket, story.command.actor, action.amount
    _need(amount.amount > 0, "amount_not_positive")
    if isinstance(action, c.RecordPayment):
        _need(amount == ticket.claim, "not_the_agreed_amount")
        story.tell(e.TicketClaimPaid, amount=amount)
        return
    answered = ticket.amount
    is_answered = answered and answered.currency == amount.currency and amount.amount <= answered.amount
    _need(bool(is_answered) or story.organisation.handling.covers(actor.role, amount), "beyond_authority")
    story.tell(e.TicketClaimAgreed, amount=amount)


def _propose(story: Story, action: c.Answer | c.DecideAppeal) -> None:
    """Answer or decide at once, or ask those who may promise as much."""
    actor, policy = story.command.actor, story.organisation.handling
    remedy, amount = offer(story.ticket, action)
    _need(amount is None or amount.amount > 0, "amount_not_positive")
    changed = action.changed if isinstance(action, c.DecideAppeal) else None
    # What is on offer already was approved when it was offered.
    is_new = action.name == "answer" or amount != story.ticket.amount
    if amount is None or not is_new or not (chain := policy.chain(actor.role, amount)):
        _carry_out(story, action.name, remedy, amount, changed=changed)
        return
    story.tell(
        e.TicketApprovalRequested,
        story.ticket.state,
        command=action.name,
        remedy=remedy,
        amount=amount,
        changed=changed,
        chain=chain,
        directory_version=story.organisation.version,
    )


def _carry_out(
    story: Story, command: str, remedy: str, amount: Money | None, *, changed: bool | None, **fields: Any
) -> None:
    if command == "answer":
        story.tell(e.TicketAnswered, S.ANSWERED, remedy=remedy, amount=amount, **fields)
    else:
        story.tell(e.TicketAppealDecided, S.APPEAL_DECIDED, changed=changed, remedy=remedy, amount=amount, **fields)


def _decide_proposal(story: Story, action: c.Approve | c.RefuseApproval | c.DelegateApproval) -> None:
    actor, approval, policy = story.command.actor, story.ticket.approval, story.organisation.handling
    assert approval is not None
    step = approval.chain[0]
    _need(actor.id is None or actor.id != approval.by, "own_proposal")
    is_delegate = actor.id is not None and actor.id == approval.delegate
    _need(is_delegate or policy.rank(actor.role) >= policy.rank(step) >= 0, "no_authority")
    if isinstance(action, c.RefuseApproval):
        _tell_plain(story)
    elif isinstance(action, c.DelegateApproval):
        _need(action.to in story.organisation.person_by_id, "no_such_person")
        _need(action.to != approval.by, "own_proposal")
        story.tell(e.TicketApprovalDelegated, to=action.to, role=step)
    else:
        # A higher role speaks for all the lower ones that are left.
        remaining = tuple(r for r in approval.chain[1:] if is_delegate or policy.rank(r) > policy.rank(actor.role))
        story.tell(e.TicketApproved, role=step, remaining=remaining)
        if not remaining:
            _approved(story, approval)


def _approved(story: Story, approval: Approval) -> None:
    note = {"note_ref": approval.note_ref, "reason": ""}
    _carry_out(story, approval.command, approval.remedy, approval.amount, changed=approval.changed, **note)


def _survey(story: Story, action: c.RequestSurvey | c.RecordSurvey | c.StopSurveys) -> None:
    ticket, policy = story.ticket, story.organisation.handling.survey
    if isinstance(action, c.RecordSurvey):
        satisfied = action.score >= policy.satisfied_from
        story.tell(e.TicketSurveyAnswered, score=action.score, satisfied=satisfied)
        # The decision on an appeal is final.
        if not satisfied and policy.reopens and ticket.state in SETTLED:
            story.tell(e.TicketReopened, S.OPENED, before=ticket.state, received_at=story.at, reason=NOT_SATISFIED)
    elif isinstance(action, c.RequestSurvey) and ticket.surveys < policy.attempts:
        story.tell(e.TicketSurveyRequested, attempt=ticket.surveys + 1)
    else:
        why = e.SURVEYS_STOPPED if isinstance(action, c.StopSurveys) else ""
        story.tell(e.TicketSurveyExhausted, attempts=ticket.surveys, reason=why)


def _correct(
    story: Story, action: c.PlanCorrectiveAction | c.CompleteCorrectiveAction | c.VerifyCorrectiveAction
) -> None:
    if isinstance(action, c.PlanCorrectiveAction):
        id_ = story.command.command_id
        story.tell(
            e.TicketCorrectiveActionPlanned,
            corrective_action=id_,
            owner=action.owner,
            unit=action.unit,
            due_on=action.due_on,
        )
        return
    planned = next((a for a in story.ticket.corrective_actions if a.id == action.corrective_action), None)
    if planned is None:
        raise Refused("no_such_corrective_action")
    if isinstance(action, c.CompleteCorrectiveAction):
        _need(not planned.is_completed, "already_completed")
        story.tell(e.TicketCorrectiveActionCompleted, corrective_action=planned.id)
        return
    _need(planned.is_completed, "not_completed")
    _need(planned.effective is None, "already_verified")
    _need(story.command.actor.id not in {planned.owner, planned.completed_by}, "own_corrective_action")
    story.tell(e.TicketCorrectiveActionVerified, corrective_action=planned.id, effective=action.effective)
