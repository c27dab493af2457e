"""Structured logs: one line an event, for people (`console`) or machines (`json`)."""

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
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structured"}
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        # A line per request would bury the one line a minute that matters at rest.
        "loggers": {
            "django_structlog": {"level": "WARNING"},
            "celery": {"level": "WARNING"},
            # django_structlog says the same of a refused request, with its id.
            "django.request": {"level": "ERROR"},
        },
    }
