"""Structured logs on standard error: one event a line, with round ids and codes, and no indicator."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str, form: str = "json") -> None:
    """Set up logging for a node's process: `json`, `console`, or `auto`, whichever suits standard error."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            # The round, and the peer, that a call turned out to be about.
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_type_only,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if console
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # What libraries log is not ours to vouch for, so it stays out.
    logging.getLogger().handlers = [logging.NullHandler()]


def _exception_type_only(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop tracebacks and messages of exceptions: they may quote anything."""
    event.pop("exc_info", None)
    return event
