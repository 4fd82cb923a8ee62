"""The page of clusters: outlets and hubs about which unusually many complain just now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from starlette.responses import Response

from services.desk.cluster_store import Found
from services.desk.clusters import Cluster, Window
from services.desk.person import Person
from services.desk.queue import EVERYTHING, Scope
from services.desk.web_visit import Endpoint, Visit


class Clusters(Protocol):
    """See `cluster_store.py`."""

    async def found(self, window: Window) -> Found:
        """Clusters of a window."""


@dataclass(frozen=True, kw_only=True)
class ClusterPages:
    """Clusters."""

    clusters: Clusters
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [("GET", "/clusters", "see_statistics", self.page)]

    async def page(self, visit: Visit) -> Response:
        """Those of the last hour or day, the least likely first."""
        wanted = visit.query("window")
        window = Window(wanted) if wanted in set(Window) else Window.HOUR
        found, scope = await self.clusters.found(window), self.scope_of(visit.person)
        seen = [one for one in found.clusters if scope == EVERYTHING or one.unit in (scope.units or ())]
        return visit.html(
            "clusters",
            window=window,
            windows=list(Window),
            lines=[_shown(one, found, window, visit) for one in seen],
            days=found.days,
            at=visit.say.at(found.at),
        )


def _shown(one: Cluster, found: Found, window: Window, visit: Visit) -> dict[str, Any]:
    since = (found.at - window.length).isoformat(timespec="seconds")
    query = {"unit": one.unit, "category": one.category, "standing": "any", "received_from": since, "sort": "received"}
    return {
        "unit": one.unit,
        "matter": visit.say.word("matter", one.category) if one.category else visit.say.page("all"),
        "count": visit.say.number(one.count),
        "usual": visit.say.number(round(one.usual, 1)),
        "query": urlencode({name: value for name, value in query.items() if value}),
    }
