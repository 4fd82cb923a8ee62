"""The message that would be sent, shown before it is. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.codes import DeliveryChannel, Language, Moment
from schemas.message import Part
from services.wording.occasions import occasion
from services.wording.templates import FIELDS, Rendered, Saying, Templates

_UNKNOWN_YET: Final[Mapping[str, Any]] = {"amount": "", "resolve_by": None, "attempt": 1}
"""Facts that are the ticket's and not the command's."""


def preview(
    templates: Templates,
    action: Part,
    channel: DeliveryChannel,
    *,
    number: str,
    language: Language,
    time_zone: str,
    known: Mapping[str, Any] | None = None,
    words: str = "",
    link: str = "",
    name: str | None = None,
) -> Rendered | None:
    """What the complainant would read if a command were carried out; None: nobody would be told.

    Args:
        templates: as the notifier has them.
        action: of a `TicketCommand`.
        channel: SMS gives a text, anything else a letter.
        number: the ticket's, for people.
        language: the complainant's.
        time_zone: the complainant's, an IANA name.
        known: of the ticket: `resolve_by` (aware; when the matter will be settled), `amount` (as `occasions.money`
            gives it: what was agreed before it is resolved), `attempt` (of a survey, from 1).
        words: of the person who acts, for the complainant.
        link: what stands for the private link, which is its owner's alone; empty where messages have none.
        name: the complainant's, where it may be shown.
    """
    told = occasion(action)
    if told is None:
        return None
    moment, facts = told
    ticket = {**_UNKNOWN_YET, **(known or {})}
    missing = {fact: ticket[fact] for fact in sorted(FIELDS[moment] & ticket.keys() - facts.keys())}
    return templates.render(
        Saying(moment, language, time_zone, {"number": number, **missing, **facts}, words=words, link=link),
        channel,
        name=name,
    )


def takes_words(moment: Moment) -> bool:
    """Whether a person's own words have a place in messages about a moment."""
    return "words" in FIELDS[moment]
