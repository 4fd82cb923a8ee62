"""What may be asked of a ticket: `ticket-command`. One envelope, one action inside, told apart by `action.name`."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Discriminator, Field

from schemas.classification import Matter
from schemas.codes import Channel, Demand, RiskFlag, Severity
from schemas.message import Actor, Code, Message, Part
from schemas.sealed import MaskedContact

Remark = Annotated[str, Field(max_length=200, pattern=r"^[a-z0-9_.:-]*$")]
"""A reason code. Free text about a case may name people and is kept with the contact, not in events."""


class FollowUp(Part):
    """The same complaint again (催办): link it, raise severity, count a repeat."""

    name: Literal["follow_up"] = "follow_up"
    complaint_id: UUID
    channel: Channel
    received_at: AwareDatetime
    contact_ref: UUID
    masked: MaskedContact
    flags: tuple[RiskFlag, ...] = ()
    matched_by: Code
    """Which claim was found: `waybill`, `text` or `case`."""
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
    """The preliminary handling opinion is given to the complainant."""

    name: Literal["answer"] = "answer"
    remedy: Remark = ""
    """Code of the proposed remedy, e.g. `redeliver`, `refund`, `apology`."""


class Resolve(Part):
    """The matter is settled."""

    name: Literal["resolve"] = "resolve"
    outcome: Remark = ""


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


class Withdraw(Part):
    """The complainant takes the complaint back."""

    name: Literal["withdraw"] = "withdraw"


class Close(Part):
    """The case is done; the same matter opens a new ticket from now on."""

    name: Literal["close"] = "close"


Action = Annotated[
    FollowUp
    | StartReview
    | CompleteReview
    | Assign
    | FirstAction
    | Answer
    | Resolve
    | WaitForCustomer
    | WaitForThirdParty
    | Resume
    | ChangeSeverity
    | Withdraw
    | Close,
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
