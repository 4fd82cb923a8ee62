"""What may be meant by what somebody has begun to type into a field of a department, a unit or a person."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from services.desk.web_visit import Endpoint, Visit

_TYPED_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True)
class NamePages:
    """One piece of a page."""

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [("GET", "/names/{kind}", "read_directory", self.suggested)]

    async def suggested(self, visit: Visit) -> Response:
        """Options for the field that asks: its value comes under its own name, the last of several words counts."""
        typed = next(iter(visit.request.query_params.values()), "")[:_TYPED_CHARACTERS_MAX]
        *before, last = typed.split(" ")
        found = visit.names.meant(visit.path("kind"), last)
        return visit.html("names", found=found, before=" ".join([*before, ""]))
