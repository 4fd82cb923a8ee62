"""What may be asked of a ticket: `ticket-command`. One envelope, one action inside, told apart by `action.name`."""

from datetime import date, datetime
from typing import Annotated, ClassVar, Final, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Discriminator, Field, model_validator

from schemas.classification import Matter
from schemas.codes import ApologyTier, Channel, Demand, Language, RiskFlag, Severity
from schemas.complaint import Money
from schemas.message import Actor, Code, Message, Part, RoutingKey
from schemas.sealed import MaskedContact

Remark = Annotated[str, Field(max_length=200, pattern=r"^[a-z0-9_.:-]*$")]
"""A reason code. Free text about a case may name people: it is sealed in `notes`, and a `note_ref` leads there."""
Files = Annotated[tuple[UUID, ...], Field(max_length=20)]
"""Evidence that was uploaded before."""
PERCENT: Final = 100


class Share(Part):
    """What part of the fault lies with one unit."""

    unit: Code
    percent: int = Field(ge=1, le=PERCENT)


class CameAgain(Part):
    """What is known of a complaint about a matter that has a ticket."""

    complaint_id: UUID
    channel: Channel
    received_at: AwareDatetime
    contact_ref: UUID
    masked: MaskedContact
    flags: tuple[RiskFlag, ...] = ()
    matched_by: Code
    """Which claim was found: `waybill`, `text` or `case`; `person` when somebody saw that it is the same."""


class FollowUp(CameAgain):
    """The same complaint again (催办): link it, raise severity, count a repeat."""

    name: Literal["follow_up"] = "follow_up"
    opened_by: UUID | None = None
    """The complaint that opens the ticket: what the router asks when the ticket is not there yet."""


class StartReview(Part):
    """The centre begins the preliminary check."""

    name: Literal["start_review"] = "start_review"


class CompleteReview(Part):
    """The preliminary check is done. What it corrects of the proposal is given, what it confirms is left out."""

    name: Literal["complete_review"] = "complete_review"
    primary: Matter | None = None
    secondary: tuple[Matter, ...] | None = None
    demand: tuple[Demand, ...] | None = None
    severity: Severity | None = None
    flags: tuple[RiskFlag, ...] | None = None


class LinkAsRepeat(Part):
    """It tells of the same matter as another ticket: that one is followed up, this one is closed."""

    name: Literal["link_as_repeat"] = "link_as_repeat"
    to_ticket: UUID
    to_routing_key: RoutingKey
    """Of that ticket, so that the follow-up finds the router that has it."""


class AbsorbRepeat(CameAgain):
    """Another ticket was linked to this one. The router says so to itself; nobody else does."""

    name: Literal["absorb_repeat"] = "absorb_repeat"
    from_ticket: UUID


class RecordFindings(Part):
    """What the investigation found. Facts and the chain of whys are in the note."""

    name: Literal["record_findings"] = "record_findings"
    cause: Remark
    """Code of the root cause, e.g. `missorted`, `packaging`."""
    whys: int = Field(default=0, ge=0, le=5)
    """How many steps the chain of whys in the note has."""
    responsible_unit: Code | None = None
    evidence: Files = ()


class AddEvidence(Part):
    """Files that bear on the case."""

    name: Literal["add_evidence"] = "add_evidence"
    evidence: Annotated[Files, Field(min_length=1)]


class AddNote(Part):
    """Something to remember; the text is the note, and the complainant does not see it."""

    name: Literal["add_note"] = "add_note"


class HandOver(Part):
    """Another department is to act."""

    name: Literal["hand_over"] = "hand_over"
    department: Code
    unit: Code | None = None


class ReturnToCentre(Part):
    """It is not ours, says who has it: the centre reviews again who must act. Once in a ticket's life."""

    name: Literal["return_to_centre"] = "return_to_centre"


class ShareLiability(Part):
    """The fault lies with several units; each has to respond in its own time."""

    name: Literal["share_liability"] = "share_liability"
    shares: tuple[Share, ...] = Field(min_length=2, max_length=20)

    @model_validator(mode="after")
    def whole(self) -> Self:
        """Every unit is named once, and the shares make a whole."""
        units = [share.unit for share in self.shares]
        if doubled := sorted({unit for unit in units if units.count(unit) > 1}):
            raise ValueError(f"units named more than once: {', '.join(doubled)}")
        if (total := sum(share.percent for share in self.shares)) != PERCENT:
            raise ValueError(f"the shares add up to {total} percent and not to {PERCENT}")
        return self


class Respond(Part):
    """One of the units that share liability says what it has to say."""

    name: Literal["respond"] = "respond"
    unit: Code


class EstimateLoss(Part):
    """What the customer has lost; the suggested goodwill follows from it by policy."""

    name: Literal["estimate_loss"] = "estimate_loss"
    loss: Money


class Assign(Part):
    """Give the ticket to a department, unit or person. Empty: the policy chooses again, e.g. when capacity is free."""

    name: Literal["assign"] = "assign"
    department: Code | None = None
    unit: Code | None = None
    person: Code | None = None


class FirstAction(Part):
    """The responsible unit has begun to act."""

    name: Literal["first_action"] = "first_action"


class Answer(Part):
    """The handling opinion is given to the complainant, at once or when whoever has the authority approves."""

    name: Literal["answer"] = "answer"
    remedy: Remark = ""
    """Code of the proposed remedy, e.g. `redeliver`, `refund`, `apology`."""
    amount: Money | None = None
    """What is offered to be paid."""


class Approve(Part):
    """Whoever has the authority agrees to what was proposed."""

    name: Literal["approve"] = "approve"


class RefuseApproval(Part):
    """It is not agreed to, for a reason: another proposal is wanted."""

    name: Literal["refuse_approval"] = "refuse_approval"


class DelegateApproval(Part):
    """Let another person decide in one's place."""

    name: Literal["delegate_approval"] = "delegate_approval"
    to: Code
    """Who decides, as the directory names the person."""


class Accept(Part):
    """The complainant agrees with the answer, the resolution or the decision."""

    name: Literal["accept"] = "accept"


class Appeal(Part):
    """The complainant does not agree; why is in the note."""

    name: Literal["appeal"] = "appeal"


class DecideAppeal(Part):
    """The centre's final decision on the appeal, at once or when whoever has the authority approves."""

    name: Literal["decide_appeal"] = "decide_appeal"
    changed: bool
    """Whether it differs from what was answered before; if not, a remedy or amount that is left out is the answer's."""
    remedy: Remark = ""
    amount: Money | None = None


class Resolve(Part):
    """The matter is settled."""

    name: Literal["resolve"] = "resolve"
    outcome: Remark = ""


class RequestSurvey(Part):
    """Ask the complainant how it was; after the last attempt that policy allows the survey is exhausted."""

    name: Literal["request_survey"] = "request_survey"


class RecordSurvey(Part):
    """What the complainant said of it, on the private page or to an agent on the phone."""

    name: Literal["record_survey"] = "record_survey"
    score: int = Field(ge=1, le=5)
    """5 is very satisfied. What counts as satisfied is policy."""


class StopSurveys(Part):
    """The complainant does not want to be asked."""

    name: Literal["stop_surveys"] = "stop_surveys"


class Reopen(Part):
    """Work on it again, within the time that policy gives for it."""

    name: Literal["reopen"] = "reopen"


class PlanCorrectiveAction(Part):
    """A task so that it does not happen again. Its id is the command's; what is to be done is in the note."""

    name: Literal["plan_corrective_action"] = "plan_corrective_action"
    owner: Code
    unit: Code | None = None
    due_on: date


class CompleteCorrectiveAction(Part):
    """It is done."""

    name: Literal["complete_corrective_action"] = "complete_corrective_action"
    corrective_action: UUID


class VerifyCorrectiveAction(Part):
    """Somebody else looked whether it had the effect; if not, it is open again."""

    name: Literal["verify_corrective_action"] = "verify_corrective_action"
    corrective_action: UUID
    effective: bool


class Apologise(Part):
    """Say sorry, in words of the tier; a word of one's own is in the note."""

    name: Literal["apologise"] = "apologise"
    tier: ApologyTier


class AgreeClaim(Part):
    """The network owes this; from now on the time to pay it runs."""

    name: Literal["agree_claim"] = "agree_claim"
    amount: Money


class RecordPayment(Part):
    """The claim was paid."""

    name: Literal["record_payment"] = "record_payment"
    amount: Money


class AnswerRegulator(Part):
    """The regulator was told the result."""

    name: Literal["answer_regulator"] = "answer_regulator"


class RecordPlatformAction(Part):
    """The platform was told what is done."""

    name: Literal["record_platform_action"] = "record_platform_action"


class Archive(Part):
    """The case joins what others learn from: cause, remedy, and in the note the wording that worked."""

    name: Literal["archive"] = "archive"
    cause: Remark
    remedy: Remark = ""


class WaitForCustomer(Part):
    """Something is needed from the complainant; `what` names it and the complainant is asked."""

    name: Literal["wait_for_customer"] = "wait_for_customer"
    what: Remark = "details"


class WaitForThirdParty(Part):
    """Something is needed from somebody outside the network, e.g. customs or the police."""

    name: Literal["wait_for_third_party"] = "wait_for_third_party"
    whom: Remark = "third_party"


class Resume(Part):
    """What was waited for has come."""

    name: Literal["resume"] = "resume"


class ChangeSeverity(Part):
    """Weigh the case anew; open clocks are re-targeted from their start."""

    name: Literal["change_severity"] = "change_severity"
    severity: Severity


class ChooseLanguage(Part):
    """The complainant wants to be written to in this language from now on."""

    name: Literal["choose_language"] = "choose_language"
    language: Language


class Withdraw(Part):
    """The complainant takes the complaint back."""

    name: Literal["withdraw"] = "withdraw"


class Close(Part):
    """The case is done; the same matter opens a new ticket from now on."""

    name: Literal["close"] = "close"


Action = Annotated[
    FollowUp
    | AbsorbRepeat
    | StartReview
    | CompleteReview
    | LinkAsRepeat
    | Assign
    | HandOver
    | ReturnToCentre
    | FirstAction
    | RecordFindings
    | AddEvidence
    | AddNote
    | ShareLiability
    | Respond
    | EstimateLoss
    | Answer
    | Approve
    | RefuseApproval
    | DelegateApproval
    | Accept
    | Appeal
    | DecideAppeal
    | Resolve
    | WaitForCustomer
    | WaitForThirdParty
    | Resume
    | ChangeSeverity
    | ChooseLanguage
    | Apologise
    | AgreeClaim
    | RecordPayment
    | AnswerRegulator
    | RecordPlatformAction
    | RequestSurvey
    | RecordSurvey
    | StopSurveys
    | Reopen
    | PlanCorrectiveAction
    | CompleteCorrectiveAction
    | VerifyCorrectiveAction
    | Withdraw
    | Close
    | Archive,
    Discriminator("name"),
]


class TicketCommand(Message):
    """Somebody asks for a change of a ticket. The router alone decides whether it happens."""

    TYPE: ClassVar[str] = "amends.command.issued"
    SOURCE: ClassVar[str] = "/amends/desk"

    command_id: UUID
    ticket_id: UUID
    issued_at: AwareDatetime
    actor: Actor
    reason: Remark = ""
    note_ref: UUID | None = None
    """Where the words that belong to it are kept, sealed."""
    expected_version: int | None = None
    """The ticket's event number that the command was based on; refused when the ticket has moved on. None: any."""
    action: Action

    @property
    def ce_id(self) -> UUID:
        """Identity of the command."""
        return self.command_id

    @property
    def ce_subject(self) -> UUID:
        """The ticket it is about."""
        return self.ticket_id

    @property
    def ce_time(self) -> datetime:
        """When it was asked for."""
        return self.issued_at
