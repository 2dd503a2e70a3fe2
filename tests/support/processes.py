"""Child processes of tests: the signals that they inherit, and how they are stopped."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

IGNORED_IN_BACKGROUND = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
"""A shell without job control starts `command &` with the first two ignored, nohup the third."""
STOP_SECONDS = 30.0


def inherit_default_signals() -> None:
    """Let child processes start with default signal handling, however pytest was started.

    An ignored signal stays ignored in every descendant, but a signal with a handler has its default
    action again after exec(). So a handler that does nothing replaces "ignore": pytest itself still
    survives Ctrl-C and the end of the terminal, as its caller wanted, and a child receives SIGINT.
    """
    for number in IGNORED_IN_BACKGROUND:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(_number: int, _frame: object) -> None:
    pass


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process during the block; its connections stay open."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stop(process: "subprocess.Popen[bytes]", seconds: float = STOP_SECONDS) -> int:
    """Send SIGTERM and return the exit code; kill the process and fail if it does not end."""
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
