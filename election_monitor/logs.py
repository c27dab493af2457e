"""Structured logs: one line an event, for people (`console`) or machines (`json`)."""

import logging
from collections.abc import Iterator
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

RENDERERS = {
    "console": structlog.dev.ConsoleRenderer(colors=False),
    "json": structlog.processors.JSONRenderer(),
}
SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


class BrokerAway(logging.Filter):
    """Says in one line that Celery's broker is away: no fault that a traceback explains."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        is_away = any(map(_is_of_broker, _chain(error)))
        if is_away and record.name.startswith("celery"):
            record.msg = record.getMessage().partition("\n")[0]
            record.args, record.exc_info = (), None
        return True


def _is_of_broker(error: BaseException) -> bool:
    client = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or client in {"redis", "kombu"}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def logging_config(log_format: str) -> dict[str, Any]:
    """Return the `LOGGING` setting, and set up structlog to write through it.

    Raises:
        ImproperlyConfigured: `log_format` is not one of the known formats.
    """
    if log_format not in RENDERERS:
        known = " or ".join(RENDERERS)
        raise ImproperlyConfigured(f"LOG_FORMAT is {log_format!r}: use {known}.")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    RENDERERS[log_format],
                ],
                "foreign_pre_chain": SHARED_PROCESSORS,
            }
        },
        "filters": {"broker_away": {"()": BrokerAway}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "structured",
                "filters": ["broker_away"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        # A line per request would bury the one line a minute that matters at rest.
        "loggers": {
            "django_structlog": {"level": "WARNING"},
            # Says of each login what the admin lists anyway.
            "axes": {"level": "WARNING"},
            "celery": {"level": "WARNING"},
            # django_structlog says the same of a refused request, with its id.
            "django.request": {"level": "ERROR"},
            # uvicorn sets up handlers of its own, for plain text.
            "uvicorn": {"handlers": [], "propagate": True, "level": "WARNING"},
            # Addresses of the live stream hold tickets.
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }
