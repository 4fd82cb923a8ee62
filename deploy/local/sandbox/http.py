"""The sandbox's page for tests, the demo and people: what was received, and how the gateways are to behave."""

import time
from typing import Annotated, Literal

from fastapi import FastAPI, Query

from deploy.local.sandbox.behaviour import Behaviour, Behaviours
from deploy.local.sandbox.messages_store import Channel, Message, MessagesStore


def http_app(*, store: MessagesStore, behaviours: Behaviours) -> FastAPI:
    """The HTTP surface over this memory and these rules."""
    app = FastAPI(title="Amends sandbox", description="Stands in for the gateways of SMS and e-mail.")

    @app.get("/healthz")
    @app.get("/readyz")
    async def health() -> dict[str, str]:
        """Both gateways listen before this does."""
        return {"status": "ok"}

    @app.get("/messages")
    async def messages(
        to: str = "",
        channel: Channel | Literal[""] = "",
        out_id: str = "",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1)] = 100_000,
    ) -> list[Message]:
        """What customers received, oldest first."""
        return store.messages(to=to, channel=channel, out_id=out_id, offset=offset, limit=limit)

    @app.get("/messages/count")
    async def count() -> dict[str, int]:
        """How many by channel."""
        return store.counts()

    @app.delete("/messages", status_code=204)
    async def clear() -> None:
        """Forget all messages."""
        store.clear()

    @app.get("/behaviour")
    async def behaviour() -> list[Behaviour]:
        """The rules in force."""
        return behaviours.all(now=time.monotonic())

    @app.post("/behaviour")
    async def set_behaviour(rule: Behaviour) -> list[Behaviour]:
        """Put a rule in force; answers all that are."""
        behaviours.set(rule, now=time.monotonic())
        return behaviours.all(now=time.monotonic())

    return app
