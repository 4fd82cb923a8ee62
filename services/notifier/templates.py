"""The words of every message: templates by moment, channel and language, filled with declared fields alone. Pure.

A template that uses a field that is not declared, lacks a moment or does not parse stops the start. Nothing that a
complainant wrote stands in a message but a name that looks like one, in an e-mail: whoever files a complaint with
somebody else's number cannot make us send that person a text of theirs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import jinja2
import yaml
from jinja2 import meta
from pydantic import BaseModel, ConfigDict

from schemas.codes import DeliveryChannel, Language, Moment
from services.notifier.moments import Notice
from services.notifier.policy import NotificationPolicy

_ALWAYS: Final = frozenset({"number", "sender", "hotline"})
FIELDS: Final[Mapping[Moment, frozenset[str]]] = MappingProxyType(
    {
        Moment.RECEIVED: _ALWAYS | {"category", "answer_by", "tone"},
        Moment.FOLLOW_UP_RECEIVED: _ALWAYS | {"category", "answer_by", "reopened"},
        Moment.ASKED_FOR_MORE: _ALWAYS | {"what"},
        Moment.IN_PROGRESS: _ALWAYS | {"about", "due_at", "after_wait"},
        Moment.ANSWERED: _ALWAYS | {"remedy", "resolve_by"},
        Moment.RESOLVED: _ALWAYS | {"outcome"},
        Moment.BREACHED_APOLOGY: _ALWAYS | {"about", "due_at", "tier"},
    },
)
"""What a template may say. Times come as text in the zone of the person, codes as words; `answer_by` may be None."""

_IN_WORDS: Final = ("category", "what", "remedy", "outcome", "about", "tier")
_TONES: Final = {"other.praise": "thanks", "other.enquiry": "neutral"}
"""Of a confirmation: who praises is thanked, who asks is owed no apology; all others are."""
_TEXT: Final = "\0"
"""Where the text stands in the frame of an SMS, which is the same for all of a language."""
_NAME: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '’·-](?=[^\W\d_])){0,29}")


class WrongTemplate(ValueError):  # noqa: N818 - said of the template
    """A template that cannot be used; the message names the file, the place and what is wrong."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a person gets. An SMS has no subject and no HTML."""

    template: str
    """Which wording it is, e.g. `received.sms.zh`."""
    text: str
    subject: str = ""
    html: str = ""


class _Texts(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sms: str
    subject: str
    letter: str


class _Book(BaseModel):
    model_config = ConfigDict(extra="forbid")
    time: str
    sms: str
    greeting: str
    closing: str
    words: dict[str, dict[str, str]]
    moments: dict[Moment, _Texts]


@dataclass(frozen=True, slots=True)
class _Compiled:
    sms: jinja2.Template
    subject: jinja2.Template
    letter: jinja2.Template


class Templates:
    """All wordings, compiled."""

    def __init__(self, books: Mapping[Language, _Book], layout: str, policy: NotificationPolicy) -> None:
        self._books = books
        self._sender, self._hotline = policy.sender, policy.hotline
        self._plain = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - plain text
        html = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
        self._layout = html.from_string(layout)
        self._compiled = {
            (language, moment): self._compile(language, moment, book)
            for language, book in books.items()
            for moment in Moment
        }
        self._sms_frames = {
            language: self._checked(book.sms, {"sender", "text"}, f"{language}.yaml: sms").render(
                sender=self._sender[language], text=_TEXT
            )
            for language, book in books.items()
        }
        self._frames = {
            language: (
                self._checked(book.greeting, {"name"}, f"{language}.yaml: greeting"),
                self._checked(book.closing, {"sender", "hotline"}, f"{language}.yaml: closing"),
            )
            for language, book in books.items()
        }

    @classmethod
    def load(cls, policy: NotificationPolicy) -> Self:
        """Those that come with the product.

        Raises:
            WrongTemplate: one cannot be used.
        """
        folder = files("services.notifier").joinpath("templates")
        books = {lang: yaml.safe_load(folder.joinpath(f"{lang}.yaml").read_text("utf-8")) for lang in Language}
        return cls.from_data(books, layout=folder.joinpath("letter.html.jinja").read_text("utf-8"), policy=policy)

    @classmethod
    def from_data(cls, books: Mapping[Language, Any], *, layout: str, policy: NotificationPolicy) -> Self:
        """Those of parsed files.

        Raises:
            WrongTemplate: one cannot be used.
        """
        try:
            return cls({lang: _Book.model_validate(data) for lang, data in books.items()}, layout, policy)
        except ValueError as refusal:
            raise WrongTemplate(str(refusal)) from None

    def render(self, notice: Notice, channel: DeliveryChannel, *, name: str | None = None) -> Rendered:
        """The message about a moment, in the person's language and zone.

        Args:
            notice: its facts must be those that `FIELDS` names for its moment.
            channel: SMS gives a text, anything else a letter.
            name: as the person gave it; used in a letter if it looks like a name.
        """
        language = notice.person.language
        book, compiled = self._books[language], self._compiled[language, notice.moment]
        fields = self._fields(notice, book)
        template = f"{notice.moment}.{'sms' if channel is DeliveryChannel.SMS else 'email'}.{language}"
        if channel is DeliveryChannel.SMS:
            return Rendered(template, self._sms_frames[language].replace(_TEXT, compiled.sms.render(fields).strip()))
        greeting, closing = self._frames[language]
        subject = compiled.subject.render(fields).strip()
        text = "\n\n".join(
            (
                greeting.render(name=as_name(name)),
                compiled.letter.render(fields).strip(),
                closing.render(sender=fields["sender"], hotline=fields["hotline"]),
            ),
        )
        paragraphs = [part.split("\n") for part in text.split("\n\n")]
        html = self._layout.render(language=language.value, subject=subject, paragraphs=paragraphs)
        return Rendered(template, text + "\n", subject, html)

    def _fields(self, notice: Notice, book: _Book) -> dict[str, Any]:
        zone = ZoneInfo(notice.person.time_zone)
        fields: dict[str, Any] = {"sender": self._sender[notice.person.language], "hotline": self._hotline}
        for field, value in notice.facts.items():
            if isinstance(value, datetime):
                fields[field] = book.time.format(value.astimezone(zone))
            elif field in _IN_WORDS:
                fields[field] = _word(book.words[field], str(value))
            else:
                fields[field] = value
        if notice.moment is Moment.RECEIVED:
            fields["tone"] = _TONES.get(str(notice.facts["category"]), "sorry")
        if notice.moment is Moment.FOLLOW_UP_RECEIVED:
            # One that was kept before there were reopenings does not say.
            fields.setdefault("reopened", False)
        return fields

    def _compile(self, language: Language, moment: Moment, book: _Book) -> _Compiled:
        if moment not in book.moments:
            raise WrongTemplate(f"{language}.yaml: nothing is written for the moment {moment}")
        texts, where = book.moments[moment], f"{language}.yaml: {moment}"
        return _Compiled(
            *(
                self._checked(source, FIELDS[moment], f"{where}: {part}")
                for part, source in (("sms", texts.sms), ("subject", texts.subject), ("letter", texts.letter))
            ),
        )

    def _checked(self, source: str, declared: frozenset[str] | set[str], where: str) -> jinja2.Template:
        try:
            used = meta.find_undeclared_variables(self._plain.parse(source))
        except jinja2.TemplateSyntaxError as error:
            raise WrongTemplate(f"{where}: line {error.lineno}: {error.message}") from None
        if unknown := used - declared:
            raise WrongTemplate(
                f"{where}: {', '.join(sorted(unknown))} is not declared; declared are {', '.join(sorted(declared))}"
            )
        return self._plain.from_string(source)


def as_name(given: str | None) -> str | None:
    """`given` if it looks like a person's name: letters, at most 30, and what may stand between two of them."""
    stripped = (given or "").strip()
    return stripped if _NAME.fullmatch(stripped) else None


def _word(words: Mapping[str, str], code: str) -> str:
    """The words of a code, of what it is a part of (`delay` for `delay.x`), or of no code at all."""
    for known in (code, code.partition(".")[0], ""):
        if known in words:
            return words[known]
    return ""
