"""Every command, from every role, about a ticket of one's own and about one of others, as it comes in over HTTP."""

from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from schemas.codes import StaffRole
from services.desk.commands_http import CommandRoutes
from services.desk.doors import allowed
from services.desk.person import Person
from services.desk.refusal_http import handle_refusals
from services.router.deciding import Assignment
from tests.unit.desk.test_commands import World
from tests.unit.desk.test_rights import CASES
from tests.unit.router.test_deciding import ACTIONS

OWN: Final = Assignment("outlets", "NET-1001", "me", "outlet", "named", 1)
OTHERS: Final = Assignment("hubs", "HUB-01", "bo", "hub", "named", 1)
TAKEN, FORBIDDEN, MISSING = 412, 403, 404
"""Whoever may is told that the ticket has moved on: the version that is named has never been."""
OF_SCOPE: Final = {
    "all": (TAKEN, TAKEN),
    "mine": (TAKEN, FORBIDDEN),
    "dept": (TAKEN, FORBIDDEN),
    "unit": (TAKEN, FORBIDDEN),
    "-": (FORBIDDEN, FORBIDDEN),
}
"""For a ticket of one's own and for one of others."""


class AtTheDoor:
    """Everybody is who they are said to be."""

    def __init__(self, person: Person) -> None:
        self.person = person

    async def enter(self, _request: Any) -> Person:
        """This one."""
        return self.person


def somebody(role: StaffRole) -> Person:
    """Who has the ticket `OWN` in hand, and is of its unit or its department."""
    is_of_unit = role is StaffRole.OUTLET_STAFF
    departments, units = ((), ("NET-1001",)) if is_of_unit else (("outlets",), ())
    return Person(id="me", name="Me", role=role, departments=departments, units=units)


def wanted(role: StaffRole, scope: str) -> tuple[int, int]:
    """What the role is answered, by the table of rights as `test_rights.py` writes it down."""
    own, others = OF_SCOPE[scope]
    if role is StaffRole.OUTLET_STAFF:
        # Staff of a unit are not the department, and whatever is not theirs is not there.
        return (FORBIDDEN if scope == "dept" else own), MISSING
    return own, others


def scopes_of(role: StaffRole) -> Mapping[str, str]:
    """Of each command."""
    return {action: scope for action, of, scope in CASES if of is role and action in ACTIONS}


def test_every_command_is_tried() -> None:
    """One that is added is added to `ACTIONS`, and with it to the test below."""
    assert set(scopes_of(StaffRole.AGENT)) == set(ACTIONS)


@pytest.mark.parametrize("role", StaffRole)
async def test_no_role_commands_what_it_may_not(role: StaffRole) -> None:
    """On its own ticket and on those of others it is refused what the table refuses, and nothing gets out."""
    world = World()
    tickets = [world.open("own", OWN), world.open("others", OTHERS)]
    app = FastAPI()
    app.state.doors = AtTheDoor(somebody(role))
    app.include_router(CommandRoutes(commands=world.commands, told=lambda *_: {}, allows=allowed, rows=world).router())
    handle_refusals(app)
    answers, expected = {}, {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        for name, scope in scopes_of(role).items():
            body = {"action": ACTIONS[name].model_dump(mode="json")}
            asked = [
                await client.post(f"/v1/tickets/{ticket}/commands", json=body, headers={"If-Match": '"99"'})
                for ticket in tickets
            ]
            assert {one.headers["content-type"] for one in asked} == {"application/problem+json"}
            answers[name] = tuple(one.status_code for one in asked)
            expected[name] = wanted(role, scope)
    assert answers == expected
    assert world.published == []
