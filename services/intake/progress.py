"""What a complainant may know of how far a complaint has come, and what happens next. Pure."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from schemas.codes import Language, TicketState


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a complaint has come."""

    complaint_id: UUID
    ticket_id: UUID | None = None
    ticket_number: str | None = None
    ticket_state: str | None = None
    followed_up: bool = False
    """It was about something that is already being worked on, and joined that ticket."""

    @property
    def known(self) -> bool:
        """Whether there is a ticket with a number."""
        return self.ticket_number is not None

    @property
    def status(self) -> str:
        """`accepted` until there is a ticket; then the ticket's state, or `followed_up`."""
        if not self.known:
            return "accepted"
        return "followed_up" if self.followed_up else self.ticket_state or TicketState.OPENED

    def told(self, language: Language) -> dict[str, Any]:
        """As it is answered."""
        return {
            "complaint_id": str(self.complaint_id),
            "status": self.status,
            "ticket_id": str(self.ticket_id) if self.ticket_id else None,
            "ticket_number": self.ticket_number,
            "ticket_state": self.ticket_state,
            "next": next_step(self, language),
            "links": {"self": f"/v1/complaints/{self.complaint_id}"},
        }


def next_step(progress: Progress, language: Language) -> str:
    """One sentence for a person."""
    if not progress.known:
        chosen = _ACCEPTED
    elif progress.followed_up and progress.ticket_state not in _ENDED:
        chosen = _FOLLOWED_UP
    else:
        chosen = _NEXT.get(progress.ticket_state or TicketState.OPENED, _NEXT[TicketState.OPENED])
    in_chinese, in_english = chosen
    return (in_chinese if language is Language.ZH else in_english).format(number=progress.ticket_number)


_ENDED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.WITHDRAWN})
_ACCEPTED: Final = (
    "我们已收到您的投诉，正在登记，几秒钟内会给出工单号。",
    "We have your complaint and are registering it; you get a ticket number within seconds.",
)
_FOLLOWED_UP: Final = (
    "您之前的投诉正在处理，这次的内容已并入工单 {number} 并提醒了处理人员。",
    "Your earlier complaint is being worked on; this was added to ticket {number} and the people on it were reminded.",
)
_NEXT: Final[dict[str, tuple[str, str]]] = {
    TicketState.OPENED: (
        "工单 {number} 已建立。我们会尽快核实情况，并在短信或邮件中告诉您答复时间。",
        "Ticket {number} is open. We look into it now; our message to you says when we answer.",
    ),
    TicketState.IN_REVIEW: (
        "工单 {number} 正在初步核实，接着交由责任部门调查。",
        "Ticket {number} is being checked; then the responsible unit investigates.",
    ),
    TicketState.INVESTIGATING: (
        "责任部门正在调查工单 {number}，有结果后会立即答复您。",
        "The responsible unit is investigating ticket {number} and answers you when it knows more.",
    ),
    TicketState.WAITING_CUSTOMER: (
        "工单 {number} 需要您补充信息，请按我们发给您的消息回复。",
        "Ticket {number} needs something from you: please reply to the message that we sent.",
    ),
    TicketState.WAITING_THIRD_PARTY: (
        "工单 {number} 正在等待第三方答复，收到后会继续处理。",
        "Ticket {number} waits for another party's answer and goes on when it is there.",
    ),
    TicketState.ANSWERED: (
        "工单 {number} 已答复，请查看我们发给您的消息；如不同意，可以直接回复。",
        "Ticket {number} is answered: see the message that we sent, and reply to it if you do not agree.",
    ),
    TicketState.RESOLVED: (
        "工单 {number} 已解决。如仍有问题，请再次联系我们。",
        "Ticket {number} is resolved. If anything is still wrong, contact us again.",
    ),
    TicketState.CLOSED: (
        "工单 {number} 已结束。如有新的问题，请再次提交投诉。",
        "Ticket {number} is closed. If there is something new, send another complaint.",
    ),
    TicketState.WITHDRAWN: (
        "工单 {number} 已按您的要求撤销。如有需要，可以再次提交投诉。",
        "Ticket {number} was withdrawn as you asked. You can send another complaint at any time.",
    ),
}
