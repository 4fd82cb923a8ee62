"""Pages as HTML, from what the handlers give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from schemas.codes import Language
from services.portal import actions
from services.portal.complaint import FIELDS, Draft
from services.portal.handlers import NotDone, NotSent, OutcomeKind, Receipt, View
from services.portal.promise import Promise
from services.portal.settings import PortalSettings
from services.portal.wording import Wording

ACCEPT: Final = "image/jpeg,image/png,image/gif,image/webp,image/heic,application/pdf,audio/*"
REFRESH_S: Final = 3
REFRESHED_MAX: Final = 20
"""So often a page looks again by itself; then it says that it takes longer."""
_OTHER: Final = {Language.ZH: Language.EN, Language.EN: Language.ZH}


@dataclass(frozen=True, slots=True)
class Refresh:
    """A page that looks again by itself."""

    url: str
    seconds: int = REFRESH_S


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence at the top of the private page; its kind is its look: `done`, `notice` or `problems`."""

    kind: str
    text: str


class Pages:
    """Renders them."""

    def __init__(self, settings: PortalSettings) -> None:
        sources = files("services.portal") / "pages"
        self._environment = jinja2.Environment(
            loader=jinja2.FunctionLoader(lambda name: (sources / name).read_text("utf-8")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )
        self._limits = {"files_max": settings.upload_files_max, "mb": settings.upload_bytes_max >> 20, "accept": ACCEPT}
        self._contact_line = settings.contact_line

    def complaint(self, draft: Draft, words: Wording, *, not_sent: NotSent | None = None) -> str:
        """The public form, empty or as it was sent."""
        return self._page(
            "complaint.html",
            words,
            draft=draft,
            typed={name: draft.typed.get(name, "") for name in FIELDS},
            troubles=not_sent.troubles if not_sent else (),
            away=not_sent.away if not_sent else None,
        )

    def sent(self, receipt: Receipt, words: Wording, *, refresh: Refresh | None) -> str:
        """A complaint was accepted."""
        promise = _promise(receipt.promise, words, ZoneInfo(receipt.time_zone)) if receipt.promise else ""
        shown = {"progress": receipt.progress, "promise": promise, "time_zone": receipt.time_zone}
        return self._page("sent.html", words, refresh=refresh, private=True, **shown)

    def notice(
        self, kind: str, words: Wording, *, reference: str = "", again: tuple[str, Sequence[tuple[str, str]]] = ("", ())
    ) -> str:
        """Something that has no page; `again` is the address of a form and what was typed, to be sent again."""
        return self._page("notice.html", words, kind=kind, reference=reference, again=again, private=True)

    def ticket(
        self, view: View, words: Wording, *, base: str, refresh: Refresh | None = None, not_done: NotDone | None = None
    ) -> str:
        """The private page at the address `base`."""
        zone = ZoneInfo(view.case.time_zone)
        return self._page(
            "ticket.html",
            words,
            view=view,
            case=view.case,
            base=base,
            refresh=refresh,
            not_done=not_done,
            private=True,
            notices=_banners(view, words, not_done=not_done, is_refreshing=refresh is not None),
            promise=_promise(view.promise, words, zone),
            answer=_answer(view, words),
            appeal=_appeal(view, words, zone),
            about=words.name("category", view.case.matter),
            trail=tuple(reversed(view.case.steps)),
            scores=tuple(reversed(actions.SCORES)),
            time=lambda at: words.time(at, zone),
        )

    def _page(self, template: str, words: Wording, **shown: Any) -> str:
        given: Mapping[str, Any] = {
            "w": _Words(words),
            "other": _OTHER[words.language].value,
            "contact_line": self._contact_line,
            "private": False,
            "refresh": None,
            "size": _size,
            **self._limits,
            **shown,
        }
        return self._environment.get_template(template).render(given)


class _Words:
    """The wording as templates use it: `w.ui.send`, `w.say(...)`."""

    def __init__(self, words: Wording) -> None:
        self._words = words
        self.language = words.language.value
        self.say = words.say
        self.name = words.name
        self.zone = words.zone

    def __getattr__(self, section: str) -> Mapping[str, Any]:
        return self._words[section]


def _banners(view: View, words: Wording, *, not_done: NotDone | None, is_refreshing: bool) -> list[Banner]:
    told = []
    if outcome := view.outcome:
        match outcome.kind:
            case OutcomeKind.DONE:
                told.append(Banner("done", str(words["act"][outcome.act]["done"])))
            case OutcomeKind.REFUSED:
                told.append(Banner("problems", words.refused(outcome.why)))
            case OutcomeKind.PENDING:
                told.append(Banner("notice", words.say("ticket", "working" if is_refreshing else "working_long")))
    if not_done and not_done.why:
        told.append(Banner("problems", words.refused(not_done.why)))
    if not_done and not_done.away:
        told.append(Banner("problems", words.refused("unavailable", seconds=not_done.away.retry_after_s)))
    return told


def _promise(promise: Promise, words: Wording, zone: ZoneInfo) -> str:
    if promise.at is None:
        return words.say("promise", promise.kind)
    at = words.time(promise.at, zone)
    return words.say("late" if promise.is_late else "promise", promise.kind, at=at)


def _answer(view: View, words: Wording) -> list[str]:
    reply = view.case.reply
    if reply is None:
        return []
    kind = "outcome" if reply.kind == "resolved" else "remedy"
    what = words.name(kind, reply.code)
    lines = []
    if reply.is_changed is not None:
        lines.append(words.say("answer", "changed" if reply.is_changed else "unchanged"))
    if what:
        lines.append(words.say("answer", kind, what=what))
    if reply.amount:
        lines.append(words.say("answer", "amount", amount=words.money(reply.amount)))
    return lines


def _appeal(view: View, words: Wording, zone: ZoneInfo) -> str:
    """Until when one may appeal, or why not any more."""
    if view.window is None:
        return ""
    if view.window.until is None:
        return words.refused("already_appealed")
    at = words.time(view.window.until, zone)
    return words.say("ticket", "appeal_until" if actions.Act.APPEAL in view.acts else "appeal_over", at=at)


def _size(count: int) -> str:
    return f"{count / 1_048_576:.1f} MB" if count >= 1_048_576 else f"{max(1, count // 1024)} kB"
