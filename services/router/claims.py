"""What makes two complaints the same matter. Pure.

A complaint lays claim to its matter by up to three kinds of identity; whoever finds one of them held by an open ticket
is a follow-up of that ticket:

- `case`: the platform's or regulator's own number of the case, per channel.
- `waybill`: the parcel and the kind of matter. What happens to a parcel (damage, loss, delay, ...) is one matter,
  whichever of them is named first and whichever end of the shipment complains; money asked for it is another, and
  compensation a third. An outlet's complaint of another outlet is not its customer's.
- `text`: the same words from the same person, within a window. Not when both name parcels and none is the same: who
  ships much writes the same words about many parcels.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

from schemas.codes import Category
from schemas.complaint import ComplaintSubmitted

WAYBILLS_MAX: Final = 20
"""A complaint about more parcels claims the first of them."""

KIND_OF_MATTER: Final = MappingProxyType(
    dict.fromkeys(Category, "parcel")
    | {Category.PRICE: "money", Category.FINANCE: "money", Category.CLAIMS: "compensation"},
)


class Claim(NamedTuple):
    """One identity of one complaint. Claims are laid in the order of `id`, the same for everybody: no circles."""

    id: str
    kind: str
    """`case`, `waybill` or `text`."""
    received_at: datetime
    waybills: tuple[str, ...]

    def same_matter(self, *, waybills: Iterable[str]) -> bool:
        """Whether a holder of the same claim, about these parcels, has the same matter."""
        held = set(waybills)
        return self.kind != "text" or not held or not self.waybills or not held.isdisjoint(self.waybills)

    def lapsed(self, *, laid_at: datetime, window: timedelta) -> bool:
        """Whether a holder that laid the same claim at `laid_at` lies outside the window."""
        return self.kind == "text" and abs(self.received_at - laid_at) > window


class Held(NamedTuple):
    """A claim and the complaint that holds it."""

    claim: Claim
    complaint_id: UUID
    routing_key: str


def claims_of(complaint: ComplaintSubmitted, category: Category, waybills: Sequence[str]) -> list[Claim]:
    """The claims of a complaint, in the order they are laid.

    Args:
        complaint: as it was accepted.
        category: the primary category that it was given.
        waybills: given or found in the text.
    """
    about = tuple(sorted(set(waybills)))
    laid = {
        _digest(*key): kind
        for kind, key in _keys(complaint, KIND_OF_MATTER[category], tuple(dict.fromkeys(waybills))[:WAYBILLS_MAX])
    }
    return [Claim(id_, kind, complaint.received_at, about) for id_, kind in sorted(laid.items())]


def _keys(complaint: ComplaintSubmitted, matter: str, waybills: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if complaint.case_number:
        yield "case", ("case", complaint.channel, complaint.case_number)
    for waybill in waybills:
        yield "waybill", ("waybill", complaint.source, waybill.upper(), matter)
    for digest in complaint.contact_index.values():
        yield "text", ("text", digest, complaint.text_fingerprint)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
