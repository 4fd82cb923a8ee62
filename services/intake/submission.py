"""From a checked complaint to the message that leaves the process: everything personal sealed, masked or digested."""

from datetime import datetime
from typing import Final
from uuid import UUID

from schemas.complaint import ComplaintSubmitted, Contact, Money, Wording
from schemas.sealed import ContactIndex, MaskedContact
from services.intake.complaint import Complainant, Complaint, language_of
from services.runtime.sealing import Keyring

_HOME_CODE: Final = "+86"


def submitted(
    complaint: Complaint, *, complaint_id: UUID, keyring: Keyring, accepted_at: datetime
) -> ComplaintSubmitted:
    """The message of an accepted complaint.

    Args:
        complaint: what was checked.
        complaint_id: its identity.
        keyring: what seals.
        accepted_at: when it was accepted first; the same again when a retry publishes it again.
    """
    person = complaint.complainant
    contact = Contact(
        name=person.name, phone=person.phone, email=person.email, wechat=person.wechat, account=person.account
    )
    wording = Wording(
        subject=complaint.subject,
        description=complaint.description,
        remedy=complaint.remedy,
        occurred_place=complaint.occurred_place,
    )
    index = ContactIndex(
        phone=keyring.blind("phone", person.phone) if person.phone else None,
        email=keyring.blind("email", person.email.casefold()) if person.email else None,
        wechat=keyring.blind("wechat", person.wechat) if person.wechat else None,
        account=keyring.blind("account", person.account) if person.account else None,
    )
    known = contact.reachable() or contact.name or contact.account
    declared = complaint.declared_value
    return ComplaintSubmitted(
        routing_key=_routing_key(complaint, index, complaint_id),
        complaint_id=complaint_id,
        channel=complaint.channel,
        source=complaint.source,
        language=complaint.language or language_of(complaint.description),
        received_at=complaint.received_at or accepted_at,
        submitted_at=accepted_at,
        occurred_at=complaint.occurred_at,
        contact=keyring.seal(contact.seal_bytes(), about=complaint_id) if known else None,
        masked=masked(person),
        contact_index=index,
        wording=keyring.seal(wording.seal_bytes(), about=complaint_id),
        text_fingerprint=keyring.fingerprint(complaint.description),
        role=person.role,
        special_identity=person.special_identity,
        customer_tier=person.tier,
        region=person.region or None,
        time_zone=person.time_zone,
        waybills=complaint.waybills,
        places=complaint.places,
        product=complaint.product,
        case_number=complaint.case_number,
        evidence=complaint.evidence,
        declared_value=Money(amount=declared.amount, currency=declared.currency) if declared else None,
        insured=complaint.insured,
    )


def masked(person: Complainant) -> MaskedContact:
    """What people may see of a contact: `138****1234`, `l***@example.com`."""
    phone = email = None
    if person.phone:
        number = person.phone.removeprefix(_HOME_CODE)
        kept = 4 if len(number) >= 10 else 2
        phone = f"{number[:3]}****{number[-kept:]}"
    if person.email:
        local, _, domain = person.email.rpartition("@")
        email = f"{local[:1]}***@{domain}"
    return MaskedContact(phone=phone, email=email, wechat=person.wechat is not None)


def _routing_key(complaint: Complaint, index: ContactIndex, complaint_id: UUID) -> str:
    # Complaints about one parcel, else of one person, meet in one partition and so in one router.
    if complaint.waybills:
        return f"w:{complaint.waybills[0]}"
    for digest in index.values():
        return f"c:{digest}"
    return f"i:{complaint_id}"
