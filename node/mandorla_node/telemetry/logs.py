"""Structured logs on standard error: one event on a line, with round ids and codes, without indicators."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str, form: str = "json") -> None:
    """Set up a process's logs as `json`, `console`, or `auto` (`console` on a terminal, else `json`)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            # The round and the peer of the call, which its handler binds once it knows them.
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_exceptions,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if console
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Libraries may log data of peers or indicators, so their logs are dropped.
    logging.getLogger().handlers = [logging.NullHandler()]


def _without_exceptions(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop tracebacks and messages of exceptions: they may quote indicators."""
    event.pop("exc_info", None)
    return event
