"""Asks a provider over HTTP what it took under our id, where it can be asked."""

from typing import Protocol
from uuid import UUID

import httpx

from schemas.codes import DeliveryChannel
from services.notifier.gateway import LookupFailed, NotTaken, Taken, Unanswerable

_ARRIVED = frozenset({"delivered"})


class Lookup(Protocol):
    """How a gateway asks."""

    async def find(self, notification_id: UUID, channel: DeliveryChannel) -> Taken | NotTaken | Unanswerable:
        """What the provider knows of a message.

        Raises:
            LookupFailed: it did not answer.
        """


class NoLookup:
    """For a provider that cannot be asked."""

    async def find(self, notification_id: UUID, channel: DeliveryChannel) -> Unanswerable:  # noqa: ARG002 - Protocol
        """Nothing is known."""
        return Unanswerable()


class HttpLookup:
    """`GET <url>?out_id=<notification id>&channel=<channel>`, answered by a JSON list of `{id, receipt, parts}`.

    `parts` is how many segments stand behind an id, one when it is left out.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=timeout_s, limits=httpx.Limits(max_connections=8))

    async def find(self, notification_id: UUID, channel: DeliveryChannel) -> Taken | NotTaken:
        """See `Lookup`."""
        try:
            answer = await self._client.get(
                self._url, params={"out_id": str(notification_id), "channel": channel.value}
            )
            answer.raise_for_status()
            found = [(str(m["id"]), m.get("receipt") in _ARRIVED, int(m.get("parts") or 1)) for m in answer.json()]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LookupFailed(f"{type(error).__name__} from the provider's lookup") from error
        if not found:
            return NotTaken()
        return Taken(
            tuple(id_ for id_, _, _ in found),
            arrived=all(arrived for _, arrived, _ in found),
            segments=sum(parts for _, _, parts in found),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
