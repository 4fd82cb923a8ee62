"""A complaint as the intake hands it on: `complaint-submitted`, short retention, personal data sealed."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime

from schemas.codes import Channel, Language, Role, Source, SpecialIdentity
from schemas.message import Code, Message, Part
from schemas.sealed import ContactIndex, MaskedContact, Sealed


class Money(Part):
    """An amount in a currency (ISO 4217)."""

    amount: Decimal
    currency: Code = "CNY"


class Contact(Part):
    """How to reach the person. Exists in the clear in memory only; on wire and disk it is a `Sealed`."""

    name: str | None = None
    phone: str | None = None
    """E.164, e.g. `+8613800138000`."""
    email: str | None = None
    wechat: str | None = None
    """Open id."""
    account: str | None = None

    def reachable(self) -> bool:
        """Whether any way to reach the person is known."""
        return bool(self.phone or self.email or self.wechat)

    def seal_bytes(self) -> bytes:
        """What is sealed."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_seal_bytes(cls, opened: bytes) -> Self:
        """The contact that was sealed."""
        return cls.model_validate_json(opened)


class Wording(Part):
    """What the person wrote or said. People put numbers and names into it, so it is sealed like the contact."""

    subject: str = ""
    description: str
    remedy: str = ""
    """The remedy sought (诉求), in the person's words."""
    occurred_place: str = ""

    def seal_bytes(self) -> bytes:
        """What is sealed."""
        return self.model_dump_json().encode()

    @classmethod
    def from_seal_bytes(cls, opened: bytes) -> Self:
        """The wording that was sealed."""
        return cls.model_validate_json(opened)


class ComplaintSubmitted(Message):
    """A complaint was accepted: from here on it cannot be lost."""

    TYPE: ClassVar[str] = "amends.complaint.submitted"
    SOURCE: ClassVar[str] = "/amends/intake"

    complaint_id: UUID
    channel: Channel
    source: Source
    language: Language
    received_at: AwareDatetime
    """When the network got it; every clock that starts with receipt starts here."""
    submitted_at: AwareDatetime
    """When the intake accepted it; the same or later."""
    occurred_at: AwareDatetime | None = None
    contact: Sealed | None
    """None on an anonymous internal complaint."""
    masked: MaskedContact
    contact_index: ContactIndex
    wording: Sealed
    text_fingerprint: str
    """HMAC-SHA256 (hex) of the normalised description: the same text gives the same fingerprint."""
    role: Role | None = None
    special_identity: SpecialIdentity | None = None
    customer_tier: Code | None = None
    region: Code | None = None
    time_zone: Code = "Asia/Shanghai"
    """IANA zone of the complainant, for quiet hours."""
    waybills: tuple[Code, ...] = ()
    places: tuple[Code, ...] = ()
    """Outlet and hub codes."""
    product: Code | None = None
    case_number: Code | None = None
    """The platform's or regulator's own number of the case."""
    evidence: tuple[UUID, ...] = ()
    declared_value: Money | None = None
    insured: bool | None = None

    @property
    def ce_id(self) -> UUID:
        """The complaint is its own message."""
        return self.complaint_id

    @property
    def ce_subject(self) -> UUID:
        """There is no ticket yet."""
        return self.complaint_id

    @property
    def ce_time(self) -> datetime:
        """When it was accepted."""
        return self.submitted_at
