"""Run a command that ends when its parent does, however the parent ends.

Started as a script, so that it works for any account and any Python, without the checkout on
the path: ``python -I -S leash.py PARENT_PID SIGNAL COMMAND [ARGUMENT ...]``. A parent that is
killed cannot tidy up, so the tie has to be made on the child's side.
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
    """The command line that runs `command` as a child of this process, tied to its life.

    Linux ties a child to the thread that started it: start it from a thread that lives as long
    as the process does.
    """
    script = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", script, str(os.getpid()), on_parent_death.name, *command]


def run(parent: int, on_parent_death: signal.Signals, command: Sequence[str]) -> int:
    """Become the command (Linux) or watch over it (elsewhere); returns its exit code."""
    if sys.platform != "linux":
        return watch(parent, on_parent_death, command)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(on_parent_death), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the line above took hold
        return 1
    return os.execvp(command[0], list(command))  # noqa: S606 - no shell is wanted


def watch(parent: int, on_parent_death: signal.Signals, command: Sequence[str]) -> int:
    """Stay beside the command, pass signals on to it and stop it when the parent is gone.

    SIGKILL cannot be passed on: send it to the process group, which the command shares.
    """
    child = subprocess.Popen(command)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while child.poll() is None and os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    if child.poll() is None:
        child.send_signal(on_parent_death)
    code = child.wait()
    if code < 0:  # end as it did, so that our parent sees the same
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), signal.Signals[sys.argv[2]], sys.argv[3:]))
