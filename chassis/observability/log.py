"""One line of JSON on standard output for each thing worth telling an operator.

Never a token, never personal data: ids, counts, outcomes and durations only.
"""

import logging
import os
import sys
from typing import Any, BinaryIO, cast

import orjson
import structlog

from chassis.observability.log_writer import BufferedLogWriter
from chassis.observability.tracing import ENDPOINT, trace_context

Logger = structlog.typing.FilteringBoundLogger


def configure(process: str, level: str = "info") -> Logger:
    """The logger of a process; libraries' own warnings join its lines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            *([trace_context] if os.environ.get(ENDPOINT) else []),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # structlog wants a file; all that it asks of one is to write and flush.
        logger_factory=structlog.BytesLoggerFactory(
            cast("BinaryIO", BufferedLogWriter(sys.stdout.buffer))
        ),
        cache_logger_on_first_use=True,
    )
    logger: Logger = structlog.get_logger(process=process)
    logging.basicConfig(handlers=[_LibraryHandler(logger)], level=logging.WARNING, force=True)
    return logger


class _LibraryHandler(logging.Handler):
    """Passes what libraries log through `logging` on to our own lines."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        self._logger.log(
            record.levelno,
            record.getMessage(),
            library=record.name,
            exc_info=record.exc_info or None,
        )


def _dumps(value: Any, default: Any = None, **_: Any) -> bytes:  # noqa: ANN401 - structlog's signature
    return orjson.dumps(value, default=default or repr)
