"""The desk with 300,000 tickets and a hundred people: pages of the queue and of tickets, and searches by waybill.

A hundred people at once are a hundred who work: each reads what came before asking for the next page, five seconds of
the mean, and has a line open by which the browser hears of changes. The same hundred without a pause, each asking when
the last answer is there, show what the desk holds; nobody works like that, and no aim is measured by it.

Pages are whole pages as browsers get them, sign-in and rights included, and with a page of the queue come its tabs
with their counts, as its script asks for them. A search is what was typed, and the page that it leads to. A command
is given over HTTP, decided by a router, and seen when the last of the hundred has heard of it.

`AMENDS_BENCH_ROWS`, `_AGENTS` and `_SECONDS` make it smaller or larger. The aim is for a million rows; the local
database takes more than 20 GB of memory to find one of a million by its id, so 300,000 it is unless asked otherwise.
The database is kept in the cache folder, see `desk_filling.py`.
"""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from pymongo import MongoClient

from deploy.local.cache import cache_folder, file_lock
from deploy.local.ports import free_ports
from deploy.local.stack import Addresses, Stack
from schemas.codes import StaffRole
from services.cli.bench import desk_filling as filling
from services.cli.bench import router
from services.desk.account_store import AccountStore
from services.desk.accounts import Account
from services.desk.session import Session, csrf_token, digest
from services.desk.session_store import SessionStore
from services.runtime import mongo
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings

STARTS_ITSELF = True
ROWS: Final = int(os.environ.get("AMENDS_BENCH_ROWS", "300000"))
AGENTS: Final = int(os.environ.get("AMENDS_BENCH_AGENTS", "100"))
SECONDS: Final = float(os.environ.get("AMENDS_BENCH_SECONDS", "60"))
THINK_S: Final = 5.0
"""Of the mean; who reads a ticket and writes an answer takes longer."""
FLOOD_SHARE: Final = 1 / 3
"""Of the time, for the same people without a pause."""
COMMANDS: Final = 20
CACHE_MB: Final = 2048
"""Of the database, while it is read."""
READY_S_MAX: Final = 180.0
SEEN_S_MAX: Final = 30.0
NAME: Final = "amends_bench_desk"
REFUSED: Final = "refused"
"""What was answered 503, because the database did not answer in time."""

Times = dict[str, list[float]]
Versions = dict[tuple[str, int], list[float]]


@dataclass(frozen=True)
class Browser:
    """In which somebody is signed in."""

    client: httpx.AsyncClient
    session: str
    heard: Versions = field(default_factory=lambda: defaultdict(list))
    """When it heard of which version of which ticket."""

    @property
    def csrf(self) -> str:
        """What its forms bring."""
        return csrf_token(self.session)


async def run(folder: Path) -> dict[str, Any]:
    """Milliseconds of each question, as a hundred people see them, and of a command to be seen by all."""
    kept = cache_folder() / "bench-desk"
    with file_lock(kept.with_suffix(".lock")):
        with Stack(kept, parts=("database",), cache_mb=filling.CACHE_MB) as database:
            filled_s = await asyncio.to_thread(filling.fill, database.addresses.mongo, NAME, rows=ROWS)
        with (
            Stack(kept, parts=("database",), cache_mb=CACHE_MB) as database,
            Stack(folder, parts=("kafka", "redis")) as rest,
        ):
            where = Addresses(kafka=rest.addresses.kafka, redis=rest.addresses.redis, mongo=database.addresses.mongo)
            figures = await _measured(where, folder)
    return {"rows": ROWS, "filled_s": filled_s, "people": AGENTS, **figures}


async def _measured(where: Addresses, folder: Path) -> dict[str, Any]:
    keyring = Keyring.create(folder / "keyring.json")
    desk_port, router_port = free_ports(2)
    url = f"http://127.0.0.1:{desk_port}"
    environment = {
        **os.environ,
        **where.environment(),
        "AMENDS_MONGO_DATABASE": NAME,
        "AMENDS_KEYRING": str(folder / "keyring.json"),
        "AMENDS_LOG_LEVEL": "warning",
    }
    topics = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.runtime.topics", env=environment)
    await topics.wait()
    complaints = router.complaints(keyring, range(COMMANDS))
    await router.preload(RuntimeSettings(kafka=where.kafka), complaints)
    sessions = await _signed_in(where)
    async with (
        _service("services.desk", desk_port, environment),
        _service("services.router", router_port, environment),
        contextlib.AsyncExitStack() as stack,
    ):
        browsers = [await stack.enter_async_context(_browser(url, session)) for session in sessions]
        opened = await asyncio.to_thread(_opened, where.mongo)
        await _settled(browsers[0], opened)
        await _warmed(browsers[0])
        times, seen = await _working(browsers, opened)
        flood, flood_s = await _flooding(browsers)
    refused, refused_in_flood = len(times.pop(REFUSED, ())), len(flood.pop(REFUSED, ()))
    figures = _figures(times) | {"refused": refused}
    figures |= {"command_seen_p50_ms": sorted(seen)[len(seen) // 2] * 1000, "command_seen_max_ms": max(seen) * 1000}
    figures["without_pause_pages_per_s"] = sum(map(len, flood.values())) / flood_s
    figures["without_pause_refused"] = refused_in_flood
    return figures | {f"without_pause_{name}": value for name, value in _figures(flood).items() if "p95" in name}


def _figures(times: Times) -> dict[str, float]:
    return {
        f"{kind}_p{share}_ms": sorted(seconds)[len(seconds) * share // 100] * 1000
        for kind, seconds in sorted(times.items())
        for share in (50, 95, 99)
    }


async def _signed_in(where: Addresses) -> list[str]:
    """Accounts, each with a session: what is measured is not how passwords are checked."""
    database, now = mongo.connect(where.mongo, database=NAME), datetime.now(UTC)
    accounts, sessions = AccountStore(database), SessionStore(database)
    for n in range(AGENTS):
        account = Account(name=f"p{n}", shown_as=f"p{n}", role=StaffRole.SUPERVISOR, changed_at=now)
        await accounts.add(account)
        session = Session(
            digest=digest(f"session-{n}"),
            account=account.name,
            made_at=now,
            seen_at=now,
            ends_at=now + timedelta(days=1),
        )
        await sessions.begin(session)
    return [f"session-{n}" for n in range(AGENTS)]


@contextlib.asynccontextmanager
async def _service(module: str, port: int, environment: dict[str, str]) -> AsyncIterator[None]:
    own = {**environment, "AMENDS_HTTP_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=own)
    try:
        async with asyncio.timeout(READY_S_MAX), httpx.AsyncClient() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                        break
                await asyncio.sleep(0.2)
        yield
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def _browser(url: str, session: str) -> AsyncIterator[Browser]:
    headers = {"Accept": "text/html", "X-CSRF-Token": csrf_token(session)}
    async with httpx.AsyncClient(
        base_url=url, cookies={"amends": session}, headers=headers, timeout=60, trust_env=False
    ) as client:
        browser = Browser(client, session)
        hearing = asyncio.create_task(_hear(browser))
        try:
            yield browser
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def _hear(browser: Browser) -> None:
    async with browser.client.stream("GET", "/v1/live", timeout=None) as lines:
        async for line in lines.aiter_lines():
            if line.startswith("data:") and '"version"' in line:
                told = orjson.loads(line.removeprefix("data:"))
                browser.heard[told["ticket_id"], told["version"]].append(time.perf_counter())


def _opened(uri: str) -> list[str]:
    """Tickets that the router opened, once it has opened all."""
    until = time.monotonic() + READY_S_MAX
    with MongoClient[dict[str, Any]](uri) as client:
        while time.monotonic() < until:
            found = [str(one["_id"]) for one in client[NAME]["tickets"].find({}, {"_id": 1})]
            if len(found) >= COMMANDS:
                return found
            time.sleep(0.2)
    raise TimeoutError("the router did not open its tickets")


async def _settled(browser: Browser, opened: list[str]) -> None:
    """Until the desk knows them."""
    async with asyncio.timeout(READY_S_MAX):
        for ticket in opened:
            while True:
                if (await browser.client.get(f"/v1/tickets/{ticket}")).is_success:
                    break
                await asyncio.sleep(0.2)


async def _warmed(browser: Browser) -> None:
    """One page of every kind: of a collection that it is first asked about the local server reads everything."""
    times: Times = defaultdict(list)
    for asked in _queues(random.Random(0)):  # noqa: S311  # not keys
        await _page(browser, times, "queue", "/queue", asked)
    await _page(browser, times, "ticket", f"/tickets/{filling.number(0)}", {})


async def _working(browsers: list[Browser], opened: list[str]) -> tuple[Times, list[float]]:
    times: Times = defaultdict(list)
    until = time.monotonic() + SECONDS
    people = [_person(browser, random.Random(n), times, until) for n, browser in enumerate(browsers)]  # noqa: S311  # not keys
    *_, seen = await asyncio.gather(*people, _commanding(browsers, opened))
    assert seen
    return times, seen


async def _flooding(browsers: list[Browser]) -> tuple[Times, float]:
    times: Times = defaultdict(list)
    began = time.monotonic()
    until = began + SECONDS * FLOOD_SHARE
    await asyncio.gather(
        *(_person(browser, random.Random(-n), times, until, think_s=0) for n, browser in enumerate(browsers))  # noqa: S311  # as above
    )
    return times, time.monotonic() - began


async def _person(
    browser: Browser, rng: random.Random, times: Times, until: float, *, think_s: float = THINK_S
) -> None:
    await asyncio.sleep(rng.uniform(0, think_s))
    while time.monotonic() < until:
        n = filling.with_trail(rng.randrange(ROWS))
        kind = rng.choices(("queue", "ticket", "waybill"), (6, 3, 1))[0]
        if kind == "queue":
            asked = rng.choice(_queues(rng))
            await _page(browser, times, kind, "/queue", asked)
            await _page(browser, times, "tabs", "/queue/tabs", asked)
        elif kind == "ticket":
            await _page(browser, times, kind, f"/tickets/{filling.number(n)}", {})
        else:
            began = time.perf_counter()
            form = {"q": filling.waybill(n), "csrf_token": browser.csrf}
            answer = await browser.client.post("/queue/search", data=form, follow_redirects=True)
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                times[REFUSED].append(time.perf_counter() - began)
                continue
            answer.raise_for_status()
            assert filling.number(n) in answer.text
            times[kind].append(time.perf_counter() - began)
        await asyncio.sleep(rng.uniform(0, 2 * think_s))


async def _page(browser: Browser, times: Times, kind: str, path: str, params: dict[str, Any]) -> None:
    began = time.perf_counter()
    answer = await browser.client.get(path, params=params)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        kind = REFUSED
    else:
        answer.raise_for_status()
    times[kind].append(time.perf_counter() - began)


def _queues(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {},
        {"department": f"D{rng.randrange(filling.DEPARTMENTS):02d}"},
        {"person": f"p{rng.randrange(filling.PEOPLE)}"},
        {"unit": f"HUB-{rng.randrange(filling.UNITS):04d}", "standing": "any"},
        {"severity": 4, "sort": "received"},
        {"flag": "safety"},
        {"category": "damage", "sort": "severity"},
        {"standing": "any", "sort": "updated"},
    ]


async def _commanding(browsers: list[Browser], opened: list[str]) -> list[float]:
    """Seconds from each command to the last browser that hears of it."""
    seen = []
    for number, ticket in enumerate(opened[:COMMANDS]):
        await asyncio.sleep(SECONDS / COMMANDS / 2)
        giver = browsers[number % len(browsers)]
        version = int((await giver.client.get(f"/v1/tickets/{ticket}")).headers["etag"].strip('"'))
        began = time.perf_counter()
        answer = await giver.client.post(
            f"/v1/tickets/{ticket}/commands",
            json={"action": {"name": "add_note"}, "note": {"text": "bench"}},
            headers={"If-Match": f'"{version}"'},
        )
        answer.raise_for_status()
        seen.append(await _heard_by_all(browsers, (ticket, version + 1)) - began)
    return seen


async def _heard_by_all(browsers: list[Browser], version: tuple[str, int]) -> float:
    async with asyncio.timeout(SEEN_S_MAX):
        while True:
            heard = [browser.heard[version][0] for browser in browsers if version in browser.heard]
            if len(heard) == len(browsers):
                return max(heard)
            await asyncio.sleep(0.02)
