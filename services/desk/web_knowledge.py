"""The page of archived cases: what others learn from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.responses import Response

from services.desk.accounts import Wrong
from services.desk.asking import Asking
from services.desk.cases import CasesAsked, case_of
from services.desk.forms import MATTERS
from services.desk.person import Person
from services.desk.queue import Scope
from services.desk.refusal import Refusal
from services.desk.row import Row
from services.desk.web_visit import Endpoint, Visit
from services.desk.wording import WORDS, Speaker

_PAGE: Final = 50
_CHOICES: Final = {
    "category": ("matter", MATTERS),
    "cause": ("cause", tuple(WORDS["cause"])),
    "remedy": ("remedy", tuple(WORDS["remedy"])),
}
"""Of each select the section of its words, and its options."""
_FIELDS: Final = ("category", "cause", "remedy", "unit")


@dataclass(frozen=True, kw_only=True)
class KnowledgePages:
    """Cases."""

    asking: Asking
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [("GET", "/knowledge", "list_tickets", self.cases)]

    async def cases(self, visit: Visit) -> Response:
        """Those of the archive that match, the newest first."""
        given = {name: value for name in (*_FIELDS, "cursor") if (value := visit.query(name))}
        try:
            asked = CasesAsked.model_validate(given)
        except ValidationError as error:
            problems = [Wrong(str(one["loc"][0]), "invalid") for one in error.errors()]
            raise Refusal("wrong-fields", problems=problems) from None
        answer = await self.asking.archive(asked, scope=self.scope_of(visit.person), size=_PAGE)
        return visit.html(
            "knowledge",
            lines=[case_shown(row, visit.say) for row in answer.rows],
            wanted={name: given.get(name, "") for name in _FIELDS},
            choices=_CHOICES,
            next=answer.next or "",
        )


def case_shown(row: Row, say: Speaker) -> dict[str, Any]:
    """A case in words."""
    case = case_of(row)
    remedy = say.word("remedy", case.remedy) if case.remedy else ""
    amount = say.money(case.amount) if case.amount else ""
    causes = say.listed(say.word("cause", cause) for cause in case.causes)
    return {
        "number": case.number,
        "matter": say.word("matter", case.matter) if case.matter else "—",
        "unit": case.unit,
        "remedy": remedy,
        "amount": amount,
        "causes": causes,
        "how": " · ".join(part for part in (remedy, amount, causes) if part),
        "took": say.lasting(case.took.total_seconds()),
        "at": say.day(case.at.astimezone(ZoneInfo(say.zone)).date()),
    }
