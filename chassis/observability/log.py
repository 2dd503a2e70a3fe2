"""The log: lines of JSON on standard output.

Fields are ids, counts, outcomes and durations; never tokens or personal data.
"""

import logging
import os
from typing import Any, BinaryIO, cast

import orjson
import structlog

from chassis.observability.log_writer import BufferedLogWriter
from chassis.observability.metrics import Metrics
from chassis.observability.standard_streams import make_nonblocking
from chassis.observability.tracing import ENDPOINT, trace_context

Logger = structlog.typing.FilteringBoundLogger


def configure(process: str, level: str = "info") -> Logger:
    """The logger of a process. Warnings that libraries log through `logging` go to it, too.

    Refuses (StartError) a process without standard output.
    """
    writer = BufferedLogWriter(make_nonblocking())
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
        logger_factory=_LogOutput(writer),
        cache_logger_on_first_use=True,
    )
    logger: Logger = structlog.get_logger(process=process)
    writer.report = lambda count: logger.error("log lines dropped", count=count)
    logging.basicConfig(handlers=[_LibraryHandler(logger)], level=logging.WARNING, force=True)
    return logger


def observe(metrics: Metrics) -> None:
    """Publish the number of log lines that were dropped because they could not be written."""
    output = structlog.get_config()["logger_factory"]
    metrics.counter(
        "log_lines_dropped",
        "Log lines that were dropped because standard output did not accept them.",
        lambda: output.writer.dropped if isinstance(output, _LogOutput) else 0,
    )


class _LogOutput(structlog.BytesLoggerFactory):
    """Creates loggers with one writer."""

    def __init__(self, writer: BufferedLogWriter) -> None:
        # structlog declares a file, and uses only its methods `write` and `flush`.
        super().__init__(cast("BinaryIO", writer))
        self.writer = writer


class _LibraryHandler(logging.Handler):
    """Passes records of `logging` to the process's logger."""

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
