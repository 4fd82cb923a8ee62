"""What each role reaches over HTTP, route by route; a route that is added is added here, too."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from prometheus_client import CollectorRegistry
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.local.stack import Stack
from schemas.codes import StaffRole
from services.desk.app import desk
from services.desk.rights import scope
from services.desk.settings import DeskSettings
from services.runtime.readiness import Readiness
from services.runtime.sealing import Keyring
from services.runtime.surroundings import Surroundings
from tests.integration.desk.served import OTHERS, OTHERS_ID, OWN, Served, served

pytestmark = pytest.mark.integration

ANYBODY: Final = "anybody"
SIGNED_IN: Final = "signed in"
ROUTES: Final = """
DELETE /v1/accounts/{name}/sessions                        manage_accounts
DELETE /v1/me/other-sessions                               signed in
DELETE /v1/me/sessions/{session}                           signed in
DELETE /v1/session                                         signed in
DELETE /v1/sessions                                        signed in
DELETE /v1/views/{view}                                    save_view
GET    /                                                   signed in
GET    /accounts                                           read_accounts
GET    /accounts/{name}                                    read_accounts
GET    /approvals                                          approve
GET    /audit                                              read_audit
GET    /board                                              see_statistics
GET    /board.json                                         see_statistics
GET    /clusters                                           see_statistics
GET    /dead-letters                                       read_dead_letters
GET    /dead-letters/{topic}/{partition}/{offset}          read_dead_letters
GET    /deliveries                                         read_deliveries
GET    /directory                                          read_directory
GET    /directory/edit                                     edit_directory
GET    /directory/versions/{version:int}                   read_directory
GET    /knowledge                                          read_ticket
GET    /me                                                 signed in
GET    /names/{kind}                                       read_directory
GET    /new                                                submit_complaint
GET    /openapi.json                                       anybody
GET    /policies                                           read_policies
GET    /policies/assignment                                read_policies
GET    /policies/assignment/edit                           edit_policies
GET    /policies/assignment/versions/{version:int}         read_policies
GET    /policies/handling                                  read_policies
GET    /policies/handling/edit                             edit_policies
GET    /policies/handling/versions/{version:int}           read_policies
GET    /policies/sla/new                                   edit_policies
GET    /policies/sla/{version:int}                         read_policies
GET    /queue                                              list_tickets
GET    /queue/rows                                         list_tickets
GET    /queue/tabs                                         list_tickets
GET    /rejected                                           read_rejected
GET    /rejected/{rejected}                                read_rejected
GET    /reviews                                            complete_review
GET    /sign-in                                            anybody
GET    /static/{path:path}                                 anybody
GET    /templates                                          read_policies
GET    /templates/{moment}/{shape}/{language}              read_policies
GET    /tickets/{ticket}                                   read_ticket
GET    /tickets/{ticket}/do/{command}                      add_note
GET    /tickets/{ticket}/evidence/{evidence}               read_notes
GET    /tickets/{ticket}/link                              revoke_link
GET    /tickets/{ticket}/messages/{message}                read_notes
GET    /v1/accounts                                        read_accounts
GET    /v1/audit                                           read_audit
GET    /v1/customers/erasures/{erasure_id}                 show_customer
GET    /v1/dead-letters                                    read_dead_letters
GET    /v1/dead-letters/{topic}/{partition}/{offset}       read_dead_letters
GET    /v1/deliveries                                      read_deliveries
GET    /v1/directory                                       read_directory
GET    /v1/directory/versions/{version}                    read_directory
GET    /v1/directory/versions/{version}/changes            read_directory
GET    /v1/live                                            list_tickets
GET    /v1/me                                              signed in
GET    /v1/me/sessions                                     signed in
GET    /v1/policies/assignment                             read_policies
GET    /v1/policies/assignment/versions/{version}          read_policies
GET    /v1/policies/assignment/versions/{version}/changes  read_policies
GET    /v1/policies/handling                               read_policies
GET    /v1/policies/handling/versions/{version}            read_policies
GET    /v1/policies/handling/versions/{version}/changes    read_policies
GET    /v1/policies/sla                                    read_policies
GET    /v1/policies/sla/{version}                          read_policies
GET    /v1/policies/sla/{version}/changes                  read_policies
GET    /v1/rejected                                        read_rejected
GET    /v1/rejected/{rejected_id}                          read_rejected
GET    /v1/sign-in                                         anybody
GET    /v1/sign-in/oidc                                    anybody
GET    /v1/sign-in/oidc/callback                           anybody
GET    /v1/templates                                       read_policies
GET    /v1/templates/{moment}/{shape}/{language}           read_policies
GET    /v1/tickets                                         list_tickets
GET    /v1/tickets.csv                                     export
GET    /v1/tickets.xlsx                                    export
GET    /v1/tickets/{ticket_id}/wording                     read_wording
GET    /v1/tickets/{ticket}                                read_ticket
GET    /v1/tickets/{ticket}/commands/{command_id}          read_ticket
GET    /v1/tickets/{ticket}/events                         read_ticket
GET    /v1/views                                           list_tickets
PATCH  /v1/accounts/{name}                                 manage_accounts
PATCH  /v1/directory                                       edit_directory
PATCH  /v1/me                                              signed in
PATCH  /v1/policies/assignment                             edit_policies
PATCH  /v1/policies/handling                               edit_policies
POST   /accounts                                           manage_accounts
POST   /accounts/{name}                                    manage_accounts
POST   /accounts/{name}/disabled                           manage_accounts
POST   /accounts/{name}/password                           manage_accounts
POST   /accounts/{name}/sessions                           manage_accounts
POST   /dead-letters                                       replay_dead_letters
POST   /directory/edit                                     edit_directory
POST   /language                                           signed in
POST   /me                                                 signed in
POST   /me/password                                        signed in
POST   /me/sessions                                        signed in
POST   /new                                                submit_complaint
POST   /new/known                                          submit_complaint
POST   /policies/assignment/edit                           edit_policies
POST   /policies/handling/edit                             edit_policies
POST   /policies/sla/new                                   edit_policies
POST   /queue/assign                                       bulk
POST   /queue/search                                       list_tickets
POST   /queue/views                                        save_view
POST   /queue/views/{view}/remove                          save_view
POST   /rejected/{rejected}/open                           replay_rejected
POST   /rejected/{rejected}/replay                         replay_rejected
POST   /sign-in                                            anybody
POST   /sign-out                                           signed in
POST   /templates/{moment}/{shape}/{language}              edit_policies
POST   /tickets/{ticket}/contact                           unmask_contact
POST   /tickets/{ticket}/do/{command}                      read_ticket
POST   /tickets/{ticket}/link                              revoke_link
POST   /tickets/{ticket}/wording                           read_wording
POST   /v1/accounts                                        manage_accounts
POST   /v1/accounts/{name}/password                        manage_accounts
POST   /v1/commands                                        bulk
POST   /v1/customers                                       find_customer
POST   /v1/customers/erase                                 erase_customer
POST   /v1/customers/stored                                show_customer
POST   /v1/dead-letters/discard                            replay_dead_letters
POST   /v1/dead-letters/replay                             replay_dead_letters
POST   /v1/directory/preview                               edit_directory
POST   /v1/me/password                                     signed in
POST   /v1/policies/assignment/preview                     edit_policies
POST   /v1/policies/handling/preview                       edit_policies
POST   /v1/policies/sla                                    edit_policies
POST   /v1/policies/sla/preview                            edit_policies
POST   /v1/rejected/{rejected_id}/open                     replay_rejected
POST   /v1/rejected/{rejected_id}/replay                   replay_rejected
POST   /v1/session                                         anybody
POST   /v1/templates/{moment}/{shape}/{language}           edit_policies
POST   /v1/templates/{moment}/{shape}/{language}/preview   edit_policies
POST   /v1/tickets/{ticket_id}/contact                     unmask_contact
POST   /v1/tickets/{ticket}/commands                       read_ticket
POST   /v1/tickets/{ticket}/link/revocation                revoke_link
POST   /v1/views                                           save_view
PUT    /v1/views/{view}                                    save_view
"""
"""Method, path, and whose right it is. The commands of a ticket have their rights each, see `docs/rights.md`."""
NEVER_ENDS: Final = "/v1/live"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPTIONS: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def there(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A desk that runs."""
    with served(stack, tmp_path_factory.mktemp("desk"), database=f"roles_{uuid4().hex[:8]}") as running:
        yield running


def routes(tmp_path: Path) -> list[tuple[str, str]]:
    """Method and path of every route that the desk has."""
    chosen = DeskSettings(keyring=str(tmp_path / "keyring.json"))
    made = desk(
        chosen,
        Surroundings.of(chosen),
        keyring=Keyring.create(tmp_path / "keyring.json"),
        readiness=Readiness(),
        registry=CollectorRegistry(),
    )
    return sorted(_walked(made.surface.routes))


def _walked(found: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for route in found:
        if hasattr(route, "methods"):
            yield from ((method, route.path) for method in route.methods - {"HEAD"})
        else:
            yield from _walked(route.original_router.routes)


def known() -> dict[tuple[str, str], str]:
    """The right that each route is about."""
    lines = [line.split(maxsplit=2) for line in ROUTES.splitlines() if line]
    return {(method, path): right for method, path, right in lines}


def filled(path: str, ticket: str) -> str:
    """The address with something in its places."""
    named = {
        "command": "add_note",
        "path": "desk.css",
        "version": "1",
        "moment": "received",
        "shape": "sms",
        "language": "en",
    }
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda place: named.get(place[1], ticket), path)


async def test_every_route_has_a_right(tmp_path: Path) -> None:
    """None was added without saying whose it is."""
    assert routes(tmp_path) == sorted(known())


@pytest.mark.parametrize("role", [None, *StaffRole])
def test_nobody_reaches_what_is_not_his(there: Served, role: StaffRole | None) -> None:
    """Each route refuses whom the table refuses, and nobody else; who is not signed in is sent to do so."""
    headers: dict[str, str] = {}
    answers, wanted = {}, {}
    for (method, path), right in known().items():
        if path == NEVER_ENDS or right == ANYBODY:
            continue
        if role and not (headers and there.is_known(headers)):
            headers = there.enter(role)
        address = filled(path, OWN if role is StaffRole.OUTLET_STAFF else OTHERS)
        answer = there.client.request(method, address, headers=headers)
        there.client.cookies.clear()
        sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?")
        answers[method, path] = "sign in" if sent_away or answer.status_code == 401 else answer.status_code == 403
        is_allowed = role and (right == SIGNED_IN or scope(role, right) is not None)
        wanted[method, path] = not is_allowed if role else "sign in"
        assert answer.status_code != 500, (method, path)
    assert answers == wanted


def test_an_outlet_reaches_no_other_outlets_ticket(there: Served) -> None:
    """Whatever it asks of it, such a ticket does not exist."""
    headers = there.enter(StaffRole.OUTLET_STAFF)
    of_ticket = [
        (method, path)
        for (method, path), right in known().items()
        if path.startswith(("/tickets/{", "/v1/tickets/{ticket}")) and scope(StaffRole.OUTLET_STAFF, right)
    ]
    command = {"action": {"name": "add_note"}}
    told = {}
    for method, path in of_ticket:
        address = filled(path.replace("{command_id}", str(uuid4())), OTHERS_ID if "/v1/" in path else OTHERS)
        body = {"json": command} if method == "POST" and path.startswith("/v1/") else {}
        asked = there.client.request(method, address, headers={**headers, "If-Match": '"1"'}, **body)
        told[method, path] = asked.status_code
    assert told == dict.fromkeys(of_ticket, 404)


def test_nothing_that_a_role_sends_makes_the_api_fail(there: Served) -> None:
    """No 500; every answer has a status, a type and a shape that the description knows, whoever asks."""
    described = schemathesis.openapi.from_url(f"{there.url}/openapi.json")
    entered: dict[StaffRole, dict[str, str]] = {}
    for found in described.get_all_operations():
        operation = found.ok()
        if operation.path == NEVER_ENDS or not operation.path.startswith("/v1/"):
            continue
        for role in StaffRole:
            if role not in entered or not there.is_known(entered[role]):
                entered[role] = there.enter(role)
        _tried(operation, list(entered.values()))


def _tried(operation: Any, entered: list[dict[str, str]]) -> None:
    # Making the cases of an operation takes longer than asking it, so that all roles ask the same.
    @settings(max_examples=2, **OPTIONS)
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        for headers in entered:
            case.call_and_validate(checks=CHECKS, headers=headers, timeout=60)

    check()
