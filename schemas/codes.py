"""The codes of the field: every closed set of values that a message, a policy or a metric label may carry."""

from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class Channel(StrEnum):
    """Where a complaint came in."""

    PHONE = "phone"
    WEB = "web"
    WECHAT = "wechat"
    EMAIL = "email"
    LETTER = "letter"
    COUNTER = "counter"
    MOBILE = "mobile"
    IM = "im"
    PLATFORM = "platform"
    REGULATOR = "regulator"
    FILE = "file"


class Source(StrEnum):
    """External: a shipper or consignee. Internal: an outlet complaining of another outlet or hub."""

    EXTERNAL = "external"
    INTERNAL = "internal"


class Role(StrEnum):
    """What the complainant is to the shipment."""

    SHIPPER = "shipper"
    CONSIGNEE = "consignee"
    OUTLET_STAFF = "outlet_staff"


class SpecialIdentity(StrEnum):
    """Complainants whose case is watched from the start."""

    OFFICIAL = "official"
    PRESS = "press"
    LAWYER = "lawyer"
    COMMUNITY_LEADER = "community_leader"


class Language(StrEnum):
    """Languages that people are answered in."""

    ZH = "zh"
    EN = "en"


class Category(StrEnum):
    """What went wrong, as the carrier must act on it first."""

    DAMAGE = "damage"
    LOSS = "loss"
    DELAY = "delay"
    FINANCE = "finance"
    CLAIMS = "claims"
    PRICE = "price"
    INFORMATION = "information"
    OPERATION_ERROR = "operation_error"
    ATTITUDE = "attitude"
    OTHER = "other"


SUBCODES: Final = MappingProxyType(
    {
        Category.DAMAGE: ("wet", "outer_packaging", "contents"),
        Category.LOSS: ("at_hub", "at_outlet", "after_forwarding", "shortage"),
        Category.DELAY: ("pickup", "transit", "sorting", "loading", "arrival_notice", "delivery"),
        Category.FINANCE: ("commission", "cod", "invoice", "tax"),
        Category.CLAIMS: ("slow", "result"),
        Category.PRICE: ("overcharge", "quote", "extra_fee"),
        Category.INFORMATION: ("tracking", "unreachable"),
        Category.OPERATION_ERROR: (
            "billing",
            "split_loading",
            "label",
            "broken_promise",
            "slow_feedback",
            "false_signoff",
            "wrong_recipient",
            "unauthorised_drop",
        ),
        Category.ATTITUDE: ("rude", "threat", "refusal"),
        Category.OTHER: ("enquiry", "praise", "unclear"),
    },
)


class Nature(StrEnum):
    """In which way the service failed the person."""

    FUNCTIONAL = "functional"
    USABILITY = "usability"
    EMOTIONAL = "emotional"
    SOCIAL = "social"


class Demand(StrEnum):
    """What the person wants (诉求)."""

    COMPENSATION = "compensation"
    REPAIR = "repair"
    PREVENTION = "prevention"
    EMOTIONAL = "emotional"
    NONE = "none"


class Grade(IntEnum):
    """How deep the fault goes."""

    GRUMBLE = 1
    STAFF = 2
    SYSTEM = 3


class Severity(IntEnum):
    """Impact times urgency: 4 is the gravest and has the shortest resolution target."""

    LOW = 1
    NORMAL = 2
    HIGH = 3
    CRITICAL = 4


class CustomerStyle(StrEnum):
    """A hint for the agent who answers, and nothing else."""

    DIRECTIVE = "directive"
    ANALYTICAL = "analytical"
    SOCIAL = "social"
    UNKNOWN = "unknown"


class RiskFlag(StrEnum):
    """What makes a complaint more than an ordinary one."""

    SAFETY = "safety"
    LEGAL = "legal"
    MEDIA = "media"
    REGULATOR = "regulator"
    PRIVACY_LEAK = "privacy_leak"
    SPECIAL_IDENTITY = "special_identity"
    EXORBITANT_CLAIM = "exorbitant_claim"
    COLLECTIVE = "collective"
    REPEATED = "repeated"
    LONG_RUNNING = "long_running"
    MALICIOUS = "malicious"


class TicketState(StrEnum):
    """Where a ticket stands."""

    OPENED = "opened"
    IN_REVIEW = "in_review"
    INVESTIGATING = "investigating"
    WAITING_CUSTOMER = "waiting_customer"
    WAITING_THIRD_PARTY = "waiting_third_party"
    ANSWERED = "answered"
    RESOLVED = "resolved"
    APPEALED = "appealed"
    APPEAL_DECIDED = "appeal_decided"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Clock(StrEnum):
    """The promised time limits that run on a ticket."""

    ACKNOWLEDGE = "acknowledge"
    FIRST_REVIEW = "first_review"
    FIRST_ANSWER = "first_answer"
    RESOLUTION = "resolution"
    UNIT_RESPONSE = "unit_response"
    LIABILITY_RESPONSE = "liability_response"
    """One for each unit among which liability was shared."""
    APPROVAL = "approval"
    """Of a remedy beyond the authority of whoever proposed it."""
    APPEAL_DECISION = "appeal_decision"
    STATUTORY_USER = "statutory_user"
    STATUTORY_FORWARDED = "statutory_forwarded"
    PLATFORM_ACTION = "platform_action"
    CLAIM_PAYMENT = "claim_payment"
    FOLLOW_UP = "follow_up"


class ClockState(StrEnum):
    """Where one cycle of one clock stands."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    STOPPED_LATE = "stopped_late"
    CANCELLED = "cancelled"


class Moment(StrEnum):
    """Occasions on which the complainant hears from us."""

    RECEIVED = "received"
    FOLLOW_UP_RECEIVED = "follow_up_received"
    ASKED_FOR_MORE = "asked_for_more"
    IN_PROGRESS = "in_progress"
    ANSWERED = "answered"
    RESOLVED = "resolved"
    APPEAL_RECEIVED = "appeal_received"
    APPEAL_DECIDED = "appeal_decided"
    SURVEY = "survey"
    APOLOGY = "apology"
    """Of a person, in one of the three tiers."""
    BREACHED_APOLOGY = "breached_apology"
    """For a promised time that has passed."""


class ApologyTier(StrEnum):
    """Who apologises: the agent at once, a supervisor in writing, the regional head for a major complaint."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    REGIONAL_HEAD = "regional_head"


class DeliveryChannel(StrEnum):
    """Ways a message reaches a person."""

    SMS = "sms"
    EMAIL = "email"
    WECHAT = "wechat"


class StaffRole(StrEnum):
    """What a member of staff may do follows from this."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    CENTRE_MANAGER = "centre_manager"
    OUTLET_STAFF = "outlet_staff"
    MANAGEMENT = "management"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class ActorKind(StrEnum):
    """Who can act on a ticket."""

    SYSTEM = "system"
    AGENT = "agent"
    UNIT = "unit"
    COMPLAINANT = "complainant"
    REGULATOR = "regulator"
    PLATFORM = "platform"
