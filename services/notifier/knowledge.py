"""All that sending needs of the database, read before a record is claimed: after it there is only sending."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from schemas.codes import DeliveryChannel, Language, Moment
from schemas.complaint import Contact
from services.notifier.means import Means
from services.notifier.notification import Notification
from services.notifier.standing import Standing
from services.runtime import private_link
from services.wording import channels

_NOTHING_KNOWN: Final = Standing(None, frozenset())


@dataclass(frozen=True, slots=True)
class Known:
    """What was read about one message."""

    contact: Contact | None
    ways: tuple[DeliveryChannel, ...]
    ask: bool = False
    """Whether a provider may have it already."""
    had_to_wait: bool = False
    """For the morning, or for a provider."""
    standing: Standing = _NOTHING_KNOWN
    """The ticket's, when the message was not sent at once."""
    over_the_cap: bool = False
    opted_out: bool = False
    """Whether it is a survey, and its recipient wants none."""
    words: str = ""
    """Of whoever acted, for the complainant."""
    link: str = ""
    """To the complainant's own page."""

    def language(self, note: Notification) -> Language:
        """In which it is written: what had to wait, as its reader wants it now."""
        return (self.standing.language if self.had_to_wait else None) or note.notice.person.language


async def read_up(
    means: Means,
    notes: Sequence[Notification],
    *,
    again: bool = False,
    ask: AbstractSet[UUID] = frozenset(),
    waited: AbstractSet[UUID] = frozenset(),
) -> dict[UUID, Known]:
    """What is known about each message.

    Args:
        means: where to read.
        notes: messages; those that count for the cap get their recipient's digest.
        again: whether these were begun before, so that their tickets may have gone on.
        ask: those that a provider may have.
        waited: those that waited for the morning or for a provider.
    """
    contacts = await means.contacts.load({n.notice.person.contact_ref for n in notes})
    standing = await means.tickets.standing({n.notice.ticket_id for n in notes}) if again else {}
    opted_out = await _opted_out(means, notes)
    over = await _over_the_cap(means, [n for n in notes if n.id not in opted_out], contacts)
    written = [(n.notice.note_ref, n.notice.ticket_id) for n in notes if n.notice.note_ref]
    words = await means.notes.words(written) if written else {}
    links = await _links(means, notes)
    known = {}
    for note in notes:
        contact = contacts.get(note.notice.person.contact_ref)
        known[note.id] = Known(
            contact=contact,
            ways=_ways(means, note, contact) if contact else (),
            ask=note.id in ask,
            had_to_wait=note.id in waited,
            standing=standing.get(note.notice.ticket_id, _NOTHING_KNOWN),
            over_the_cap=note.id in over,
            opted_out=note.id in opted_out,
            words=words.get(note.notice.note_ref, "") if note.notice.note_ref else "",
            link=links.get(note.id, ""),
        )
    return known


async def _opted_out(means: Means, notes: Sequence[Notification]) -> set[UUID]:
    """Surveys of people who want none."""
    surveys = {n.id: n.notice.person.contact_ref for n in notes if n.notice.moment is Moment.SURVEY}
    refs = await means.opt_outs.opted_out(set(surveys.values())) if surveys else set()
    return {id_ for id_, ref in surveys.items() if ref in refs}


async def _links(means: Means, notes: Sequence[Notification]) -> dict[UUID, str]:
    """The link of each message: the same whenever it is sent, unless links were revoked meanwhile."""
    portal = means.portal
    if portal is None:
        return {}
    generations = await portal.revocations.generations({n.notice.ticket_id for n in notes})
    return {
        n.id: private_link.url(
            portal.url,
            portal.links.make(
                n.notice.ticket_id,
                n.notice.person.complaint_id,
                n.notice.at,
                generation=generations.get(n.notice.ticket_id, 0),
            ),
        )
        for n in notes
    }


async def _over_the_cap(means: Means, notes: Sequence[Notification], contacts: Mapping[UUID, Contact]) -> set[UUID]:
    """Those that their recipient would have too many of. Counted over all tickets, these messages included."""
    counted: dict[str, list[Notification]] = defaultdict(list)
    for note in notes:
        contact = contacts.get(note.notice.person.contact_ref)
        if contact is None or not means.policy.moments[note.notice.moment].capped:
            continue
        first_time = not note.recipient
        for channel in _ways(means, note, contact)[:1]:
            note.recipient = means.blind(channel.value, channels.address(contact, channel) or "")
        if first_time and note.recipient:
            counted[note.recipient].append(note)
    if not counted:
        return set()
    since = means.now() - timedelta(seconds=means.policy.cap.within_s)
    before = await means.store.capped_since(counted, since)
    over: set[UUID] = set()
    for recipient, those in counted.items():
        room = max(0, means.policy.cap.messages - before.get(recipient, 0))
        over |= {n.id for n in those[room:]}
    return over


def _ways(means: Means, note: Notification, contact: Contact) -> tuple[DeliveryChannel, ...]:
    return channels.order(note.notice.person.used, contact, provided=means.gateways.keys())
