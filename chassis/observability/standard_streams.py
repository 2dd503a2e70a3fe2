"""Standard output and standard error that never block the process."""

import os
import stat
import sys
from typing import Final

from chassis.observability.log_writer import RawOutput
from chassis.startup import StartError

_OPEN_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_STREAMS: Final = (1, 2)


def unblock() -> RawOutput:
    """Make both streams non-blocking. Returns standard output without a buffer.

    A write to a pipe or a terminal blocks while nobody reads it. That would stop the event loop,
    and also gRPC, which writes a message to standard error for some failed handshakes, in the
    threads that serve all connections. Its messages are lost in that case.

    Refuses (StartError) a process without standard output, because a later file or connection
    would get its descriptor.
    """
    if sys.stdout is None:
        raise StartError("standard output is closed, so that there is no place for the log")
    for descriptor in _STREAMS:
        _unblock(descriptor)
    raw: RawOutput = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return raw


def _unblock(descriptor: int) -> None:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:  # closed
        return
    is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    if not (is_pipe or os.isatty(descriptor)):
        return  # O_NONBLOCK has no effect on a file
    try:
        # The flag belongs to an open file that other processes may share, such as the shell. So
        # open it again.
        own = os.open(f"/proc/self/fd/{descriptor}", _OPEN_FLAGS)
    except OSError:  # a socket, no permission, or not Linux
        if is_pipe:
            os.set_blocking(descriptor, False)
        return
    os.dup2(own, descriptor)
    os.close(own)
