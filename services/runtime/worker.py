"""Runs a service as a process: its parts, its HTTP surface, its end.

Exit codes: 0 after SIGTERM or SIGINT; 1 when a part crashed or could not start; 2 for wrong settings; 70 after a stall;
75 when stopping took longer than `settings.stop_s_max` and the process ended itself (nothing is lost by that).
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from logging import Filter, LogRecord, getLogger
from typing import Final, Protocol, runtime_checkable

import uvicorn
import uvloop
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.runtime import logging
from services.runtime.consuming import Consumption
from services.runtime.http import health_routes
from services.runtime.readiness import Readiness
from services.runtime.settings import RuntimeSettings
from services.runtime.watchdog import Watchdog

EXIT_CRASHED: Final = 1
EXIT_WRONG_SETTINGS: Final = 2
EXIT_STOP_TOO_SLOW: Final = 75
"""EX_TEMPFAIL of sysexits.h."""

_KEEP_ALIVE_S: Final = 75
"""Longer than proxies and browsers keep an idle connection (60 s mostly): closed by us, a request may be on its way."""
_CALM_S: Final = 10.0
_COLLECT_AFTER: Final = (50_000, 20, 100)
"""Thresholds of the garbage collector. A batch is tens of thousands of objects, none of them in a cycle: with Python's
own 700 it would look at them again and again, which took a third of a router's time. And a full collection, which looks
through every clock and deadline in memory, stops everything for a tenth of a second."""

log = logging.get_logger(__name__)


class Part(Protocol):
    """What a service is made of: a producer, deadlines, a consumption, a gateway's connection."""

    async def start(self) -> None:
        """Return when it works."""

    async def stop(self) -> None:
        """Return when it has let go of everything."""


@runtime_checkable
class Watched(Part, Protocol):
    """A part whose crash is the end of the process."""

    async def wait_failed(self) -> BaseException:
        """Return when it has ended by itself, with the reason."""


def run(
    settings: RuntimeSettings,
    parts: Sequence[Part],
    *,
    readiness: Readiness,
    registry: CollectorRegistry,
    app: FastAPI | None = None,
) -> None:
    """Run until a signal or a crash, then exit the process. Never returns.

    Args:
        settings: the service's.
        parts: started in this order, stopped in the other. A `Mortal` part is
            watched for its end, a `Consumption` for a stall, too.
        readiness: what `/readyz` tells.
        registry: what `/metrics` shows.
        app: the service's own HTTP surface; `/healthz`, `/readyz` and `/metrics` are added to it.
    """
    logging.configure(service=settings.SERVICE, level=settings.log_level, fmt=settings.log_format)
    for handler in getLogger().handlers:
        handler.addFilter(_Calm())
    surface = app or FastAPI(title=settings.SERVICE, docs_url=None, redoc_url=None)
    surface.include_router(health_routes(readiness, registry))
    listener = _listen(settings.http_host, settings.http_port)
    process = _Process(settings, parts, readiness, surface, listener)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(process.live())
        # Faust's consumer thread and its executor may outlive their loop; everything that matters has ended.
        log.info("worker.ended", code=code)
        _exit(code)


@runtime_checkable
class Mortal(Protocol):
    """A part that can end by itself, which ends the process."""

    async def wait_failed(self) -> BaseException:
        """Return when it has ended, with the reason."""


class _Process:
    def __init__(
        self,
        settings: RuntimeSettings,
        parts: Sequence[Part],
        readiness: Readiness,
        surface: FastAPI,
        listener: socket.socket,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._readiness = readiness
        self._surface = surface
        self._listener = listener
        self._stop = asyncio.Event()
        self._started: list[Part] = []
        self._last_resort: threading.Timer | None = None

    async def live(self) -> int:
        """Start, wait for the end, stop; gives the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        self._readiness.set("started", False, "starting")
        server = _Server(self._surface, trusted_proxies=self._settings.trusted_proxies)
        http = asyncio.create_task(server.serve(sockets=[self._listener]), name="http")
        host, port = self._listener.getsockname()[:2]
        log.info("worker.listening", http=f"http://{host}:{port}")
        stopping = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(self._start())
        code = 0
        try:
            await asyncio.wait((starting, stopping, http), return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not starting.exception():
                failures = [asyncio.create_task(p.wait_failed()) for p in self._parts if isinstance(p, Watched)]
                await asyncio.wait((stopping, http, *failures), return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and (error := starting.exception()):
                log.critical("worker.start_failed", exc_info=error)
                code = EXIT_CRASHED
            elif not stopping.done():
                log.critical("worker.crashed", part="http" if http.done() else "consuming or deadlines")
                code = EXIT_CRASHED
        finally:
            self._arm_last_resort(code or EXIT_STOP_TOO_SLOW)
            self._readiness.set("started", False, "stopping")
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._stop_parts()
            server.should_exit = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(http, return_exceptions=True), 1.0)
        return code

    async def _start(self) -> None:
        for part in self._parts:
            log.debug("part.starting", part=type(part).__name__)
            self._started.append(part)
            await part.start()
            if isinstance(part, Consumption):
                watchdog = Watchdog(
                    stall_s_max=self._settings.stall_s_max,
                    finished=lambda c=part: c.finished,  # type: ignore[misc]
                    waits_for=lambda c=part: c.waits_for,  # type: ignore[misc]
                    backlog=part.backlog,
                    kafka=self._settings.kafka,
                    metrics=part.metrics,
                    readiness=self._readiness,
                )
                self._started.append(watchdog)
                await watchdog.start()
        # What was loaded until here lives on: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        self._readiness.set("started", True)
        log.info("worker.started")

    async def _stop_parts(self) -> None:
        for part in reversed(self._started):
            try:
                await part.stop()
            except Exception:
                log.exception("part.stop_failed", part=type(part).__name__)

    def _on_signal(self, number: signal.Signals) -> None:
        log.info("worker.stopping", signal=number.name)
        self._arm_last_resort(EXIT_STOP_TOO_SLOW)
        self._stop.set()

    def _arm_last_resort(self, code: int) -> None:
        """End the process in time even if the event loop hangs. A replay from the last commit is harmless."""
        if self._last_resort is None:
            self._last_resort = threading.Timer(self._settings.stop_s_max - 0.5, _exit, (code,))
            self._last_resort.daemon = True
            self._last_resort.start()


class _Calm(Filter):
    """Lets each place in aiokafka speak once in ten seconds; while Kafka is away it would tell so 20 times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._silent_until: dict[tuple[str, int], float] = {}

    def filter(self, record: LogRecord) -> bool:
        """Whether the record is written."""
        if not record.name.startswith("aiokafka"):
            return True
        place = (record.name, record.lineno)
        if record.created < self._silent_until.get(place, 0.0):
            return False
        self._silent_until[place] = record.created + _CALM_S
        return True


class _Server(uvicorn.Server):
    """uvicorn in a loop that is ours; signals are ours, too."""

    def __init__(self, surface: FastAPI, *, trusted_proxies: str) -> None:
        super().__init__(
            uvicorn.Config(
                surface,
                log_config=None,
                log_level="warning",
                access_log=False,
                http="httptools",
                lifespan="off",
                forwarded_allow_ips=trusted_proxies,
                backlog=2048,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything else starts, so that a taken port is told at once."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        sys.stderr.write(
            f"Cannot listen on {host}:{port} ({error.strerror}): set AMENDS_HTTP_HOST and AMENDS_HTTP_PORT "
            "to an address of this machine and a port that is free.\n"
        )
        sys.exit(EXIT_WRONG_SETTINGS)
    listener.setblocking(False)
    return listener


def _exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
