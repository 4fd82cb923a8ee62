"""The web desk: pages made on the server, which work without a script, and what scripts ask for beside them.

Every form is a POST that ends in another page or in the same one with everything that was typed and all that is wrong
with it. `/v1` is the same for programs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from schemas.codes import Language
from services.desk.account_store import AccountStore
from services.desk.asking import Asking
from services.desk.audit_store import AuditStore
from services.desk.board_store import BoardStore
from services.desk.command_handlers import Commands
from services.desk.contact_reading import ContactReading
from services.desk.counting import Counting
from services.desk.directory_editing import DirectoryEditing
from services.desk.doors import Doors, address_of, audited
from services.desk.naming import Naming
from services.desk.note_store import NoteStore
from services.desk.pages import STATIC
from services.desk.people_http import own_path
from services.desk.person import Person
from services.desk.policy_editing import PolicyEditing
from services.desk.queue import Scope
from services.desk.refusal import Refusal
from services.desk.rights import may_somewhere
from services.desk.row_store import RowStore
from services.desk.seeing import Seeing
from services.desk.session import digest
from services.desk.session_store import SessionStore
from services.desk.signing_in import SigningIn
from services.desk.text_handlers import TextHandlers
from services.desk.trail_store import TrailStore
from services.desk.view_store import ViewStore
from services.desk.web_clusters import ClusterPages, Clusters
from services.desk.web_command import CommandPages
from services.desk.web_directory import DirectoryPages
from services.desk.web_evidence import Contacts, EvidencePages, Files
from services.desk.web_intake import Intake, IntakePages
from services.desk.web_knowledge import KnowledgePages
from services.desk.web_lists import ListPages
from services.desk.web_messages import MessagePages
from services.desk.web_names import NamePages
from services.desk.web_policies import PolicyPages
from services.desk.web_queue import QueuePages
from services.desk.web_texts import TextPages
from services.desk.web_ticket import TicketPages
from services.desk.web_visit import MENU, Endpoint, Visit, entered, stranger_html
from services.runtime.http import read_form

_KEPT: Final = "public, max-age=31536000, immutable"
_TEXT_MAX: Final = 1000


class Pages(Protocol):
    """Pages about one thing."""

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right (empty: whoever is signed in), endpoint."""


@dataclass(frozen=True, kw_only=True)
class WebRoutes:
    """Every page, and what they work with."""

    doors: Doors
    signing_in: SigningIn
    accounts: AccountStore
    sessions: SessionStore
    audit: AuditStore
    asking: Asking
    rows: RowStore
    trail: TrailStore
    views: ViewStore
    notes: NoteStore
    commands: Commands
    reading: ContactReading
    board: BoardStore
    intake: Intake
    clusters: Clusters
    contacts: Contacts
    evidence: Files
    texts: TextHandlers
    portal: str
    levels: PolicyEditing
    directory: DirectoryEditing
    blind: Callable[[str, str], str]
    scope_of: Callable[[Person], Scope]
    has_oidc: bool
    local_accounts: bool
    others: Sequence[Pages] = ()
    """Pages that share nothing with these."""

    def router(self) -> APIRouter:
        """All of them. They stand in no description of the API."""
        router = APIRouter(include_in_schema=False)
        queue = QueuePages(
            asking=self.asking,
            counting=Counting(self.asking),
            rows=self.rows,
            views=self.views,
            commands=self.commands,
            auditing=self.audit,
            blind=self.blind,
            scope_of=self.scope_of,
        )
        seeing = Seeing(rows=self.rows, trail=self.trail, scope_of=self.scope_of)
        evidence = EvidencePages(seeing=seeing, contacts=self.contacts, files=self.evidence, auditing=self.audit)
        ticket = TicketPages(
            asking=self.asking,
            seeing=seeing,
            rows=self.rows,
            trail=self.trail,
            notes=self.notes,
            reading=self.reading,
            evidence=evidence,
            auditing=self.audit,
            scope_of=self.scope_of,
        )
        messages = MessagePages(
            seeing=seeing,
            messages=self.trail,
            notes=self.notes,
            texts=self.texts,
            auditing=self.audit,
            portal=self.portal,
        )
        command = CommandPages(
            seeing=seeing,
            notes=self.notes,
            commands=self.commands,
            auditing=self.audit,
            files=self.intake,
            templates=self.texts.templates,
            portal=self.portal,
            now=self.doors.now,
        )
        intake = IntakePages(
            intake=self.intake,
            asking=self.asking,
            auditing=self.audit,
            blind=self.blind,
            scope_of=self.scope_of,
        )
        lists = ListPages(
            asking=self.asking, trail=self.trail, audit=self.audit, board=self.board, scope_of=self.scope_of
        )
        clusters = ClusterPages(clusters=self.clusters, scope_of=self.scope_of)
        knowledge = KnowledgePages(asking=self.asking, scope_of=self.scope_of)
        texts = TextPages(texts=self.texts, auditing=self.audit)
        naming = Naming(self.directory.directory)
        own = [
            ("GET", "/", "", self.home),
            ("POST", "/sign-out", "", self.sign_out),
            ("POST", "/language", "", self.change_language),
        ]
        for method, path, action, endpoint in (
            *own,
            *queue.routes(),
            *ticket.routes(),
            *command.routes(),
            *evidence.routes(),
            *messages.routes(),
            *intake.routes(),
            *lists.routes(),
            *knowledge.routes(),
            *clusters.routes(),
            *texts.routes(),
            *NamePages().routes(),
            *PolicyPages(editing=self.levels).routes(),
            *DirectoryPages(editing=self.directory, levels=self.levels, now=self.doors.now).routes(),
            *(route for pages in self.others for route in pages.routes()),
        ):
            router.add_route(path, entered(self.doors, endpoint, action, naming), methods=[method])
        router.add_route("/sign-in", self.door, methods=["GET"])
        router.add_route("/sign-in", self.sign_in, methods=["POST"])
        files = StaticFiles(directory=STATIC)

        async def static(request: Request) -> Response:
            answer = await files.get_response(request.path_params["path"], request.scope)
            if request.url.query.startswith("v="):
                answer.headers["Cache-Control"] = _KEPT
            return answer

        router.add_route("/static/{path:path}", static, methods=["GET"])
        return router

    async def home(self, visit: Visit) -> Response:
        """Where work begins, for each role."""
        first = next((href for _, href, action in MENU if may_somewhere(visit.person, action)), None)
        return visit.go(first) if first else visit.html("home")

    async def door(self, request: Request) -> Response:
        """The sign-in page."""
        return self._door(request, next_path=own_path(request.query_params.get("next", "/")))

    async def sign_in(self, request: Request) -> Response:
        """Let somebody in by name and password."""
        form = await read_form(request)
        next_path = own_path(str(form.get("next") or "/")[:_TEXT_MAX])
        name, password = (str(form.get(field) or "")[:_TEXT_MAX] for field in ("name", "password"))
        if not self.local_accounts:
            return self._door(request, 404, next_path=next_path, refusal=Refusal("ways-closed"))
        try:
            self.doors.check_origin(request)
            came = await self.signing_in.with_password(
                name, password, address=address_of(request), old=self.doors.session_id(request)
            )
        except Refusal as refusal:
            return self._door(request, refusal.status, next_path=next_path, name=name, refusal=refusal)
        answer = RedirectResponse(next_path, 303)
        self.doors.give_session(request, answer, came.session_id)
        return answer

    async def sign_out(self, visit: Visit) -> Response:
        """End this session."""
        await self.audit.add(audited(visit.request, visit.person, "sign_out"))
        await self.sessions.end(digest(self.doors.session_id(visit.request) or ""))
        answer = visit.go("/sign-in")
        self.doors.give_cookie(visit.request, answer, "amends", "", 0)
        return answer

    async def change_language(self, visit: Visit) -> Response:
        """Go on in the other language, from now on everywhere."""
        form = await visit.form()
        account = await self.accounts.get(visit.person.id)
        wanted = str(form.get("language") or "")
        if account is not None and wanted in set(Language):
            changed = replace(account, language=Language(wanted), changed_at=self.doors.now())
            await self.accounts.change(changed, was=account)
        return visit.go(own_path(str(form.get("next") or "/")[:_TEXT_MAX]))

    def _door(
        self,
        request: Request,
        status: int = 200,
        *,
        next_path: str,
        name: str = "",
        refusal: Refusal | None = None,
    ) -> Response:
        return stranger_html(
            request,
            "sign_in",
            status,
            next_path=next_path,
            name=name,
            refusal=refusal,
            has_oidc=self.has_oidc,
            local_accounts=self.local_accounts,
            query=urlencode({"next": next_path}),
        )
