"""The form that an agent on the phone fills in: what is known of caller and waybill stands beside it while typing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from schemas.codes import Channel, Language, Role
from services.desk import showing
from services.desk.asking import Asking
from services.desk.customer_request import customer_keys
from services.desk.doors import audited
from services.desk.intake_gateway import NOT_HELD, IntakeAway, Told
from services.desk.person import Person
from services.desk.queue import PageAsked, Scope, Standing
from services.desk.rights import may_somewhere
from services.desk.row import Row
from services.desk.searching import is_contact
from services.desk.signing_in import Auditing
from services.desk.uploading import File, upload
from services.desk.web_command import problem_text
from services.desk.web_visit import Endpoint, Visit

_KNOWN_MAX: Final = 10
_WAYBILL_CHARACTERS_MAX: Final = 64
_KEY: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_CHANNELS: Final = (Channel.PHONE, Channel.COUNTER, Channel.LETTER)
"""What staff type in for others."""
_CALLER: Final = ("name", "phone", "email", "role")
_LISTED: Final = ("waybills", "places")
_TEXTS: Final = ("subject", "description", "remedy")
FIELDS: Final = ("channel", *_CALLER, *_LISTED, *_TEXTS)


class Intake(Protocol):
    """See `intake_gateway.py`."""

    async def submit(self, complaint: Mapping[str, Any], *, key: str, language: Language) -> Told:
        """Submit one."""

    async def upload(self, content: bytes, *, language: Language) -> UUID | str:
        """Keep a file."""

    async def number(self, complaint_id: UUID) -> str | None:
        """The ticket number it has led to."""


@dataclass(frozen=True, kw_only=True)
class IntakePages:
    """Complaints that staff take."""

    intake: Intake
    asking: Asking
    auditing: Auditing
    blind: Callable[[str, str], str]
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/new", "submit_complaint", self.blank),
            ("POST", "/new", "submit_complaint", self.submit),
            ("POST", "/new/known", "submit_complaint", self.known),
        ]

    async def blank(self, visit: Visit) -> Response:
        """The form, and the number of what was submitted with it last."""
        submitted, number = visit.query("submitted"), None
        if submitted:
            try:
                number = await self.intake.number(UUID(submitted))
            except ValueError:
                submitted = ""
        return self._form(visit, {"channel": Channel.PHONE.value}, submitted=submitted, number=number)

    async def submit(self, visit: Visit) -> Response:
        """Hand it to the intake, which alone says what is wrong with it."""
        form = await visit.form()
        key = str(form.get("key") or "")
        key = key if _KEY.fullmatch(key) else str(uuid4())
        values = {name: str(form.get(name) or "") for name in FIELDS}
        chosen = [one for one in form.getlist("files") if isinstance(one, UploadFile)]
        before = [file for value in form.getlist("evidence") if (file := File.read(str(value)))]
        done = await upload(self.intake, chosen, before=before, language=visit.person.language)
        # With a file that was refused it is submitted all the same, with one that nobody has: that is refused for
        # certain, and tells what else is wrong.
        evidence = [*(file.id for file in done.files), *([NOT_HELD] if done.problems else [])]
        complaint = {**_complaint(values), **({"evidence": [str(one) for one in evidence]} if evidence else {})}
        try:
            told = await self.intake.submit(complaint, key=f"desk-{key}", language=visit.person.language)
        except IntakeAway:
            return self._form(visit, values, status=503, key=key, files=done.files, is_away=True)
        if told.complaint_id is None:
            problems = [("evidence", problem_text(one, visit)) for one in done.problems]
            problems += [(_shown_field(field), words) for field, words in told.problems]
            # What was refused is kept under its key: what is corrected is another complaint.
            return self._form(visit, values, status=422, files=done.files, problems=problems)
        return visit.go(f"/new?submitted={told.complaint_id}")

    async def known(self, visit: Visit) -> Response:
        """Open tickets of the caller and the waybills, as a piece of the page."""
        form = await visit.form()
        rows = await self._open(visit, form)
        lines = [
            {
                "number": row.number,
                "matter": showing.matter(row.category, row.sub, visit.say),
                "state": visit.say.word("state", row.state),
                "received": visit.say.at(row.received_at),
                "waybills": ", ".join(row.waybills[:3]),
            }
            for row in rows
        ]
        return visit.html("known", lines=lines)

    async def _open(self, visit: Visit, form: FormData) -> list[Row]:
        scope = self.scope_of(visit.person)
        waybills = [w[:_WAYBILL_CHARACTERS_MAX] for w in str(form.get("waybills") or "").split()[:_KNOWN_MAX]]
        questions = [PageAsked(waybill=waybills, standing=Standing.OPEN, size=_KNOWN_MAX)] if waybills else []
        typed = [text for name in ("phone", "email") if is_contact(text := str(form.get(name) or "").strip()[:200])]
        if typed and may_somewhere(visit.person, "find_customer"):
            await self.auditing.add(audited(visit.request, visit.person, "find_customer"))
            keys = [key for text in typed for key in customer_keys(text, blind=self.blind)]
            questions.append(PageAsked(customer=keys, standing=Standing.OPEN, size=_KNOWN_MAX))
        found: dict[UUID, Row] = {}
        for question in questions:
            answer = await self.asking.page(question, person=visit.person, scope=scope)
            found |= {row.id: row for row in answer.rows}
        return list(found.values())[:_KNOWN_MAX]

    def _form(
        self,
        visit: Visit,
        values: Mapping[str, str],
        *,
        status: int = 200,
        key: str = "",
        files: Sequence[File] = (),
        problems: list[tuple[str, str]] | None = None,
        submitted: str = "",
        number: str | None = None,
        is_away: bool = False,
    ) -> Response:
        listed = problems or []
        return visit.html(
            "new",
            status,
            values={name: values.get(name, "") for name in FIELDS},
            channels=_CHANNELS,
            roles=[Role.SHIPPER, Role.CONSIGNEE],
            problems=listed,
            wrong={field: " ".join(text for other, text in listed if other == field) for field, _ in listed},
            files=files,
            key=key or str(uuid4()),
            submitted=submitted,
            number=number,
            is_away=is_away,
        )


def _complaint(values: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, as the intake takes it."""
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    return {
        "channel": given.get("channel", Channel.PHONE.value),
        "complainant": {name: given[name] for name in _CALLER if name in given},
        **{name: given[name].split() for name in _LISTED if name in given},
        **{name: given[name] for name in _TEXTS if name in given},
    }


def _shown_field(field: str) -> str:
    """The field of the form that a problem of the intake is about."""
    steps = [step for step in field.split(".") if step in {*FIELDS, "complainant", "evidence"}]
    name = steps[-1] if steps else ""
    return "phone" if name == "complainant" else name
