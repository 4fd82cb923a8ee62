"""Who may do what: one table. Pure; `docs/rights.md` is made of it.

A command's right has the name of the command. What the table does not name nobody may do. Whether a command is possible
in the state that a ticket is in, and whether an amount is within a role's authority, the router decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from schemas.codes import Category, RiskFlag, Source, StaffRole, TicketState
from services.desk.person import Person
from services.desk.refusal import Refusal


class Scope(StrEnum):
    """Which tickets a right is about."""

    ALL = "all"
    DEPARTMENT = "own department"
    """Those of the person's department, for staff of the department as a whole."""
    UNIT = "own unit"
    """Those of the person's outlet or hub; for staff of a department as a whole, those of the department."""
    ASSIGNED = "assigned"
    """Those that the person has in hand."""
    NEEDED = "own unit, when needed"
    """Those of `UNIT` that cannot be settled without reaching the complainant, see `needs_complainant`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPlace:
    """What of a ticket decides about rights."""

    state: TicketState
    department: str | None = None
    units: frozenset[str] = frozenset()
    """The responsible unit, and every other that shares the liability; in capitals."""
    person: str | None = None
    source: Source = Source.EXTERNAL
    category: Category | None = None
    flags: frozenset[RiskFlag] = frozenset()


_SETTLED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.WITHDRAWN})
_PROTECTED: Final = frozenset(
    {RiskFlag.LEGAL, RiskFlag.MEDIA, RiskFlag.REGULATOR, RiskFlag.PRIVACY_LEAK, RiskFlag.SPECIAL_IDENTITY}
)


def needs_complainant(ticket: TicketPlace) -> bool:
    """Whether the unit complained of must know who complained, e.g. to deliver a parcel.

    Not when it is about how its people treated somebody or whose data they leaked, when an outlet complains of another,
    when the case is watched from outside (then the centre speaks with the complainant), or when it is over.
    """
    return (
        ticket.state not in _SETTLED
        and ticket.source is Source.EXTERNAL
        and ticket.category is not Category.ATTITUDE
        and not ticket.flags & _PROTECTED
    )


@dataclass(frozen=True, slots=True)
class Right:
    """One row: an action, and to which roles it belongs within which scope."""

    about: str
    meaning: str
    scopes: Mapping[StaffRole, Scope]


AGENT, SUPERVISOR, CENTRE_MANAGER, OUTLET_STAFF, MANAGEMENT, AUDITOR, ADMINISTRATOR = StaffRole

_LEAD: Final = {SUPERVISOR: Scope.ALL, CENTRE_MANAGER: Scope.ALL}
_CENTRE: Final = {AGENT: Scope.ALL, **_LEAD}
_SEES: Final = {AUDITOR: Scope.ALL}
_MANAGER: Final = {CENTRE_MANAGER: Scope.ALL}
_ADMIN: Final = {ADMINISTRATOR: Scope.ALL}
_UNIT: Final = {OUTLET_STAFF: Scope.UNIT}
_DEPARTMENT: Final = {OUTLET_STAFF: Scope.DEPARTMENT}
_NEEDED: Final = {OUTLET_STAFF: Scope.NEEDED}
_RESPONSIBLE: Final = {
    AGENT: Scope.ASSIGNED,
    SUPERVISOR: Scope.DEPARTMENT,
    CENTRE_MANAGER: Scope.DEPARTMENT,
    OUTLET_STAFF: Scope.UNIT,
}
"""What stops a unit's clock is said by those whom the clock is about, by nobody for them."""

_APPROVERS: Final = _CENTRE | {MANAGEMENT: Scope.ALL}
"""Agents, too: an approval can be delegated to one. Whose authority is enough the router says."""

_COMMANDS: Final[Mapping[str, tuple[str, Mapping[StaffRole, Scope]]]] = {
    "follow_up": ("Link a repeated complaint: the router alone, when one comes in", {}),
    "absorb_repeat": ("Take in a ticket that was linked to it: the router alone", {}),
    "start_review": ("Begin the preliminary check", _CENTRE),
    "complete_review": ("Finish it, with corrections of what the machine understood", _CENTRE),
    "link_as_repeat": ("Link the ticket to one about the same matter", _CENTRE),
    "assign": ("Give it to a department, unit or person", _CENTRE),
    "hand_over": ("Hand it over to another department", _CENTRE),
    "return_to_centre": ("Say that it is not ours, once, with a reason", _UNIT),
    "share_liability": ("Share it between units, in percent", _LEAD),
    "first_action": ("Say that the responsible unit has begun", _RESPONSIBLE),
    "respond": ("Give the answer of a unit that shares the liability", _RESPONSIBLE),
    "record_findings": ("Record facts and causes", _CENTRE | _UNIT),
    "add_evidence": ("Add files", _CENTRE | _UNIT),
    "add_note": ("Add a note", _CENTRE | _UNIT),
    "estimate_loss": ("Estimate the customer's loss", _CENTRE | _UNIT),
    "wait_for_customer": ("Ask the complainant for more", _CENTRE | _DEPARTMENT),
    "wait_for_third_party": ("Wait for somebody outside the network", _CENTRE | _UNIT),
    "resume": ("Go on, what was waited for has come", _CENTRE | _UNIT),
    "change_severity": ("Weigh it anew, which moves its time limits", _LEAD),
    "choose_language": ("Write to the complainant in another language from now on", _CENTRE),
    "answer": ("Give the complainant the handling opinion and remedy", _CENTRE | _DEPARTMENT),
    "approve": ("Approve a remedy over somebody's authority", _APPROVERS),
    "refuse_approval": ("Refuse it, with a reason", _APPROVERS),
    "delegate_approval": ("Let somebody else decide about it", _APPROVERS),
    "resolve": ("Say that the matter is settled", _CENTRE),
    "accept": ("Record that the complainant accepts the answer", _CENTRE),
    "appeal": ("Record that the complainant appeals", _CENTRE),
    "decide_appeal": ("Decide an appeal", _LEAD),
    "request_survey": ("Ask how satisfied the complainant is", _CENTRE),
    "record_survey": ("Record the answer to that", _CENTRE),
    "stop_surveys": ("Record that the complainant does not want to be asked", _CENTRE),
    "reopen": ("Open it again within the window", _CENTRE),
    "withdraw": ("Record that the complainant takes it back", _CENTRE),
    "plan_corrective_action": ("Plan what shall keep it from happening again", _LEAD),
    "complete_corrective_action": ("Say that this was done", _LEAD | _UNIT),
    "verify_corrective_action": ("Say that it had its effect", _LEAD),
    "apologise": ("Apologise, in the tier of one's role", _CENTRE),
    "agree_claim": ("Agree on a claim, which starts the time limit of its payment", _CENTRE | _DEPARTMENT),
    "record_payment": ("Record that a claim was paid", _LEAD | _DEPARTMENT),
    "answer_regulator": ("Record the answer to the regulator", _LEAD),
    "record_platform_action": ("Record what was done about a platform's complaint", _CENTRE),
    "archive": ("Put the case into the knowledge base", _LEAD),
    "close": ("Close it", _CENTRE),
}

_READERS: Final = _CENTRE | _UNIT | _SEES | {MANAGEMENT: Scope.ALL}

_OTHERS: Final[Mapping[str, Mapping[str, tuple[str, Mapping[StaffRole, Scope]]]]] = {
    "Tickets": {
        "list_tickets": ("See the queue, and find in it", _READERS),
        "read_ticket": ("See a ticket, its complainant masked", _READERS),
        "export": ("Take a list away, complainants masked", _LEAD | _SEES | {MANAGEMENT: Scope.ALL}),
        "save_view": ("Keep a filter for oneself", _READERS),
        "share_view": ("Keep a filter for others", _LEAD),
        "bulk": ("Send one command to many tickets; each needs the right to that command, too", _LEAD),
        "submit_complaint": ("Submit a complaint for somebody who calls or stands at the counter", _CENTRE | _UNIT),
        "see_statistics": ("See numbers, charts and the wall board", _READERS),
    },
    "Personal data (each reading of it is audited)": {
        "unmask_contact": ("See who complained, with a reason", _CENTRE | _NEEDED | _SEES),
        "read_wording": ("Read the complaint in the complainant's words", _CENTRE | _NEEDED | _SEES),
        "revoke_link": ("Take back the links to a complainant's own page, with a reason", _CENTRE),
        "read_notes": ("Read notes, findings and files of a ticket", _CENTRE | _UNIT | _SEES),
        "find_customer": ("Find tickets by a phone number, e-mail address or WeChat open id", _CENTRE | _SEES),
        "export_contacts": ("Take a list away with complainants' contacts", _MANAGER | _SEES),
        "show_customer": ("Show what is stored about a customer, on his or her request", _MANAGER | _SEES),
        "erase_customer": ("Erase it, on his or her request", _MANAGER),
    },
    "The network and its rules": {
        "read_directory": ("See departments, units and people", _CENTRE | _SEES | _ADMIN | {MANAGEMENT: Scope.ALL}),
        "edit_directory": ("Change them", _MANAGER | _ADMIN),
        "read_policies": ("See time limits and other policies", _CENTRE | _SEES | _ADMIN | {MANAGEMENT: Scope.ALL}),
        "edit_policies": ("Change them", _MANAGER | _ADMIN),
    },
    "Operation": {
        "read_rejected": ("See complaints that the intake refused", _LEAD | _SEES | _ADMIN),
        "replay_rejected": ("Submit one of them again", _LEAD),
        "read_dead_letters": ("See messages that could not be processed", _SEES | _ADMIN),
        "replay_dead_letters": ("Process them again", _ADMIN),
        "read_deliveries": ("See what became of messages, over all tickets", _CENTRE | _SEES | _ADMIN),
        "read_audit": ("See who read and did what", _MANAGER | _SEES),
        "read_accounts": ("See accounts", _SEES | _ADMIN),
        "manage_accounts": ("Add, change and disable accounts, and end their sessions", _ADMIN),
    },
}

RIGHTS: Final[Mapping[str, Right]] = MappingProxyType(
    {
        name: Right(about, meaning, MappingProxyType(dict(scopes)))
        for about, rows in {"Commands on a ticket": _COMMANDS, **_OTHERS}.items()
        for name, (meaning, scopes) in rows.items()
    }
)
"""Every action by its name."""


def scope(role: StaffRole, action: str) -> Scope | None:
    """Within which tickets a role may do it; None: nowhere.

    Raises:
        KeyError: there is no such action.
    """
    return RIGHTS[action].scopes.get(role)


def may_somewhere(person: Person, action: str) -> bool:
    """Whether there can be a ticket on which the person may do it: what menus ask, and lists cut to a scope."""
    return scope(person.role, action) is not None


def may(person: Person, action: str, ticket: TicketPlace | None = None) -> bool:
    """Whether the person may do it, on a ticket or, without one, at all: then only a right over all tickets counts."""
    within = scope(person.role, action)
    if within is None or within is Scope.ALL:
        return within is Scope.ALL
    if ticket is None:
        return False
    match within:
        case Scope.ASSIGNED:
            return ticket.person == person.id
        case Scope.DEPARTMENT:
            return _of_department(person, ticket)
        case Scope.UNIT:
            return _of_unit(person, ticket)
        case Scope.NEEDED:
            return _of_unit(person, ticket) and needs_complainant(ticket)


def require(person: Person, action: str, ticket: TicketPlace | None = None) -> None:
    """That a person may do it, on this ticket.

    Raises:
        Refusal: `no-such-ticket` to whom the ticket is not shown, so that nobody learns which there are; `not-allowed`
            otherwise.
    """
    if may(person, action, ticket):
        return
    if ticket is not None and may_somewhere(person, "read_ticket") and not may(person, "read_ticket", ticket):
        raise Refusal("no-such-ticket")
    raise Refusal("not-allowed", more={"action": action}, role=person.role.value)


def rights_of(role: StaffRole) -> dict[str, str]:
    """Every action that a role has, with its scope: what a client draws its buttons by."""
    return {name: within.value for name in RIGHTS if (within := scope(role, name))}


def _of_department(person: Person, ticket: TicketPlace) -> bool:
    return not person.units and ticket.department is not None and ticket.department in person.departments


def _of_unit(person: Person, ticket: TicketPlace) -> bool:
    return not ticket.units.isdisjoint(person.units) or _of_department(person, ticket)


def page() -> str:
    """The table as Markdown."""
    roles = tuple(StaffRole)
    lines = [
        "# Rights",
        "",
        "Who may do what at the desk. Whether a command is possible in the state that a ticket is in is another table;",
        "this one says whose it is. What a role has no scope for, it may not do.",
        "",
        "| Scope | Which tickets |",
        "|---|---|",
        "| all | every ticket; for what is about no ticket: yes |",
        "| own department | those of the person's department, for its staff as a whole, not for staff of one unit |",
        "| own unit | those that the person's outlet or hub has or shares; for staff of a department, its |",
        "| assigned | those that the person has in hand |",
        "| own unit, when needed | those of own unit that are open, external and not about behaviour, without a flag |",
        "| | of legal, media, regulator, privacy or special identity |",
    ]
    for about in dict.fromkeys(right.about for right in RIGHTS.values()):
        lines += ["", f"## {about}", "", f"| Action | Meaning | {' | '.join(r.replace('_', ' ') for r in roles)} |"]
        lines.append("|---|---|" + "---|" * len(roles))
        for name, right in RIGHTS.items():
            if right.about == about:
                cells = " | ".join(right.scopes[role].value if role in right.scopes else "" for role in roles)
                lines.append(f"| `{name}` | {right.meaning} | {cells} |")
    return "\n".join(lines) + "\n"
