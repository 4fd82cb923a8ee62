"""The words of every message: templates by moment, channel and language, filled with declared fields alone. Pure.

A template that uses a field that is not declared, lacks a moment or does not parse stops the start. Nothing that a
complainant wrote stands in a message but a name that looks like one, in an e-mail: whoever files a complaint with
somebody else's number cannot make us send that person a text of theirs. What a member of staff wrote is text and
nothing else: no markup, no control characters, and in an SMS only its beginning.
"""

import re
import unicodedata
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import jinja2
import yaml
from babel.numbers import format_currency
from jinja2 import meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field

from schemas.codes import DeliveryChannel, Language, Moment
from services.wording.signature import Signature
from services.wording.texts import Shape, Text, TextKey, shape_of

_ALWAYS: Final = frozenset({"number", "sender", "hotline", "link"})
FIELDS: Final[Mapping[Moment, frozenset[str]]] = MappingProxyType(
    {
        Moment.RECEIVED: _ALWAYS | {"category", "answer_by", "tone"},
        Moment.FOLLOW_UP_RECEIVED: _ALWAYS | {"category", "answer_by", "reopened"},
        Moment.ASKED_FOR_MORE: _ALWAYS | {"what", "words"},
        Moment.IN_PROGRESS: _ALWAYS | {"about", "due_at", "after_wait", "reopened"},
        Moment.ANSWERED: _ALWAYS | {"remedy", "amount", "resolve_by", "words"},
        Moment.RESOLVED: _ALWAYS | {"outcome", "amount", "words"},
        Moment.APPEAL_RECEIVED: _ALWAYS,
        Moment.APPEAL_DECIDED: _ALWAYS | {"changed", "remedy", "amount", "words"},
        Moment.SURVEY: _ALWAYS | {"attempt"},
        Moment.APOLOGY: _ALWAYS | {"spoken_by", "words"},
        Moment.BREACHED_APOLOGY: _ALWAYS | {"about", "due_at", "tier"},
    },
)
"""What a template may say. Times come as text in the zone of the person, amounts in its language, codes as words, but
for `spoken_by` and `tone`, which tell texts apart. `answer_by`, `resolve_by` and the `due_at` of what was reopened may
be None, `link`, `amount` and `words` empty."""

_IN_WORDS: Final = ("category", "what", "remedy", "outcome", "about", "tier")
_TONES: Final = {"other.praise": "thanks", "other.enquiry": "neutral"}
"""Of a confirmation: who praises is thanked, who asks is owed no apology; all others are."""
_TEXT: Final = "\0"
"""Where the text stands in the frame of an SMS, which is the same for all of a language."""
_SINCE_THEN: Final[Mapping[str, Any]] = MappingProxyType({"reopened": False, "amount": ""})
"""Facts that a message that was kept from before they were told lacks."""
_LETTERLESS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories of what nobody sees: control characters, those that turn the direction, halves of characters."""
_NAME: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '’·-](?=[^\W\d_])){0,29}")


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be said to one person about one moment."""

    moment: Moment
    language: Language
    time_zone: str
    """IANA name of the person's."""
    facts: Mapping[str, Any]
    """Codes, numbers, amounts (`120.50 CNY`) and aware times: those that `FIELDS` names for the moment."""
    words: str = ""
    """Of the member of staff who acted, for this person."""
    link: str = ""
    """The private one. Empty: there is none."""


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
    sms_words_max: int = Field(ge=10, le=1000)
    """So many characters of a person's own words stand in an SMS."""
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

    def __init__(self, books: Mapping[Language, _Book], layout: str, signature: Signature) -> None:
        self._books = books
        self._sender, self._hotline = signature.sender, signature.hotline
        self._plain = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - plain text
        self._sandbox = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
        self._named: Mapping[TextKey, str] = {}
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
    def load(cls, signature: Signature) -> Self:
        """Those that come with the product.

        Raises:
            WrongTemplate: one cannot be used.
        """
        folder = files("services.wording").joinpath("templates")
        books = {lang: yaml.safe_load(folder.joinpath(f"{lang}.yaml").read_text("utf-8")) for lang in Language}
        return cls.from_data(books, layout=folder.joinpath("letter.html.jinja").read_text("utf-8"), signature=signature)

    @classmethod
    def from_data(cls, books: Mapping[Language, Any], *, layout: str, signature: Signature) -> Self:
        """Those of parsed files.

        Raises:
            WrongTemplate: one cannot be used.
        """
        try:
            return cls({lang: _Book.model_validate(data) for lang, data in books.items()}, layout, signature)
        except ValueError as refusal:
            raise WrongTemplate(str(refusal)) from None

    def with_text(self, text: Text) -> Self:
        """The same with one text in the place of its own.

        Raises:
            WrongTemplate: it cannot be used.
        """
        place = text.language, text.moment
        declared = FIELDS[text.moment]
        changed = {"sms": text.body} if text.shape is Shape.SMS else {"subject": text.subject, "letter": text.body}
        compiled = {
            part: self._checked(source, declared, f"{text.name}: {part}", written=True)
            for part, source in changed.items()
        }
        other = copy(self)
        other._compiled = {**self._compiled, place: replace(self._compiled[place], **compiled)}  # noqa: SLF001  # ours
        other._named = {**self._named, text.key: text.name}  # noqa: SLF001  # ours
        return other

    def source(self, key: TextKey) -> tuple[str, str]:
        """Subject and body of a text as it comes with the product."""
        texts = self._books[key.language].moments[key.moment]
        return ("", texts.sms) if key.shape is Shape.SMS else (texts.subject, texts.letter)

    def render(self, said: Saying, channel: DeliveryChannel, *, name: str | None = None) -> Rendered:
        """The message about a moment, in the person's language and zone.

        Args:
            said: its facts must be those that `FIELDS` names for its moment.
            channel: SMS gives a text, anything else a letter.
            name: as the person gave it; used in a letter if it looks like a name.
        """
        language, is_sms = said.language, channel is DeliveryChannel.SMS
        book, compiled = self._books[language], self._compiled[language, said.moment]
        fields = self._fields(said, book, is_sms=is_sms)
        key = TextKey(said.moment, shape_of(channel), language)
        template = self._named.get(key, str(key))
        if is_sms:
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
        html = self._layout.render(language=language.value, subject=subject, paragraphs=paragraphs, link=said.link)
        return Rendered(template, text + "\n", subject, html)

    def _fields(self, said: Saying, book: _Book, *, is_sms: bool) -> dict[str, Any]:
        zone = ZoneInfo(said.time_zone)
        fields: dict[str, Any] = {
            **_SINCE_THEN,
            "sender": self._sender[said.language],
            "hotline": self._hotline,
            "link": said.link,
            "words": as_line(said.words, length_max=book.sms_words_max) if is_sms else as_paragraphs(said.words),
        }
        for field, value in said.facts.items():
            if isinstance(value, datetime):
                fields[field] = book.time.format(value.astimezone(zone))
            elif field in _IN_WORDS:
                fields[field] = _word(book.words[field], str(value))
            elif field == "amount":
                fields[field] = _amount(str(value), said.language)
            else:
                fields[field] = value
        if said.moment is Moment.RECEIVED:
            fields["tone"] = _TONES.get(str(said.facts["category"]), "sorry")
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

    def _checked(
        self, source: str, declared: frozenset[str] | set[str], where: str, *, written: bool = False
    ) -> jinja2.Template:
        """Compile a template; one that was `written` at the desk in a sandbox."""
        environment = self._sandbox if written else self._plain
        try:
            used = meta.find_undeclared_variables(environment.parse(source))
        except jinja2.TemplateSyntaxError as error:
            raise WrongTemplate(f"{where}: line {error.lineno}: {error.message}") from None
        if unknown := used - declared:
            raise WrongTemplate(
                f"{where}: {', '.join(sorted(unknown))} is not declared; declared are {', '.join(sorted(declared))}"
            )
        return environment.from_string(source)


def as_name(given: str | None) -> str | None:
    """`given` if it looks like a person's name: letters, at most 30, and what may stand between two of them."""
    stripped = (given or "").strip()
    return stripped if _NAME.fullmatch(stripped) else None


def as_paragraphs(given: str) -> str:
    """`given` as plain text: paragraphs with one empty line between them, and nothing that cannot be seen."""
    visible = "".join(c for c in given.expandtabs(1) if c == "\n" or unicodedata.category(c) not in _LETTERLESS)
    lines = [" ".join(line.split()) for line in visible.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def as_line(given: str, *, length_max: int) -> str:
    """The beginning of `given` in one line of at most `length_max` characters; an ellipsis says that there is more."""
    line = " ".join(as_paragraphs(given).split())
    return line if len(line) <= length_max else f"{line[: length_max - 1].rstrip()}…"


def _amount(given: str, language: Language) -> str:
    """`120.50 CNY` as people write it; nothing for nothing."""
    amount, _, currency = given.partition(" ")
    return format_currency(Decimal(amount), currency, locale=language.value) if amount else ""


def _word(words: Mapping[str, str], code: str) -> str:
    """The words of a code, of what it is a part of (`delay` for `delay.x`), or of no code at all."""
    for known in (code, code.partition(".")[0], ""):
        if known in words:
            return words[known]
    return ""
