"""Runs a command that ends when its parent process ends for any reason.

This module runs as a script, so that it works for any account and any Python, without the checkout
on the path: ``python -I -S parent_death_signal.py PARENT_PID SIGNAL COMMAND [ARGUMENT ...]``. A
killed parent cannot stop its children, so the child has to arrange its own end.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.25


def with_parent_death_signal(command: Sequence[str], on_parent_death: signal.Signals) -> list[str]:
    """The command line that runs `command` as a child that ends with this process.

    Linux sends the signal when the thread that started the child ends, so start it from a thread
    that lives as long as the process.
    """
    script = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", script, str(os.getpid()), on_parent_death.name, *command]


def run(parent: int, on_parent_death: signal.Signals, command: Sequence[str]) -> int:
    """Execute the command (Linux) or monitor it (elsewhere); returns its exit code."""
    if sys.platform != "linux":
        return watch(parent, on_parent_death, command)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(on_parent_death), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # the parent ended before prctl took effect
        return 1
    return os.execvp(command[0], list(command))  # noqa: S606 - no shell is needed


def watch(parent: int, on_parent_death: signal.Signals, command: Sequence[str]) -> int:
    """Run the command, forward signals to it and stop it when the parent has ended.

    SIGKILL cannot be forwarded: send it to the process group, which the command shares.
    """
    child = subprocess.Popen(command)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while child.poll() is None and os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    if child.poll() is None:
        child.send_signal(on_parent_death)
    code = child.wait()
    if code < 0:  # end by the same signal, so that our parent sees it
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), signal.Signals[sys.argv[2]], sys.argv[3:]))
