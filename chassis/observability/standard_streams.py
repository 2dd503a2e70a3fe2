"""Standard output and standard error that never block the process."""

import os
import stat
import sys
from typing import Final

from chassis.observability.log_writer import RawOutput
from chassis.startup import StartError

_OPEN_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DESCRIPTORS: Final = (1, 2)


def make_nonblocking() -> RawOutput:
    """Make both streams non-blocking. Returns standard output without a buffer.

    If no program reads the pipe or terminal, its buffer fills up, and the next write blocks. A
    blocked write would stop the event loop. It would also stop gRPC, which reports some failed
    handshakes on standard error, in the threads that serve all connections. With non-blocking
    streams, only these messages are lost.

    Refuses (StartError) a process without standard output. The next file or connection that it
    opens would get descriptor 1, and the log would be written to it.
    """
    if sys.stdout is None:
        raise StartError("standard output is closed, so the log cannot be written")
    for descriptor in _DESCRIPTORS:
        _make_nonblocking(descriptor)
    raw: RawOutput = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return raw


def _make_nonblocking(descriptor: int) -> None:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:  # closed
        return
    is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    if not (is_pipe or os.isatty(descriptor)):
        return  # O_NONBLOCK has no effect on a file
    try:
        # The flag belongs to the open file, which other processes, such as the shell, may share.
        # Opening it again gives this process a flag that it does not share.
        reopened = os.open(f"/proc/self/fd/{descriptor}", _OPEN_FLAGS)
    except OSError:  # a socket, no permission, or not Linux
        if is_pipe:
            os.set_blocking(descriptor, False)
        return
    os.dup2(reopened, descriptor)
    os.close(reopened)
