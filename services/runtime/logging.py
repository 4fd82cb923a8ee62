"""Logs: one JSON object a line, readable lines on a terminal. Ticket and trace ids yes, personal data never."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

Logger = structlog.stdlib.BoundLogger

QUIET = ("aiokafka", "faust", "mode", "pymongo", "kafka", "asyncio", "uvicorn.access")
"""Libraries whose records count from warning on: at info they tell of themselves, not of complaints."""


def configure(*, service: str, level: str = "info", fmt: Literal["auto", "json", "console"] = "auto") -> None:
    """Send every log of the process, the libraries' included, through structlog to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    pretty = fmt == "console" or (fmt == "auto" and sys.stderr.isatty())
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if pretty
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        ),
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def get_logger(name: str) -> Logger:
    """A logger; events are named in words joined by dots, e.g. `batch.retried`."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add
