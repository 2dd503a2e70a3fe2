"""The parent-death signal, on Linux and as emulated on other systems."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.support.local.running import descendants, environment, is_alive
from tests.support.waiting import wait_until

SLEEP = "[sys.executable, '-c', 'import time; time.sleep(60)']"
STARTS_WITH_KERNEL_SIGNAL = f"""
import signal, subprocess, sys
from deploy.local.processes.parent_death_signal import with_parent_death_signal
child = subprocess.Popen(with_parent_death_signal({SLEEP}, signal.SIGTERM))
print(child.pid, flush=True)
print(child.wait(), flush=True)
"""
STARTS_WITH_WATCHER = f"""
import os, subprocess, sys
watch = '''
import signal, sys
from deploy.local.processes.parent_death_signal import watch
sys.exit(watch(int(sys.argv[1]), signal.SIGTERM, {SLEEP}))
'''
child = subprocess.Popen([sys.executable, "-c", watch, str(os.getpid())])
print(child.pid, flush=True)
print(child.wait(), flush=True)
"""


@pytest.fixture(params=[STARTS_WITH_KERNEL_SIGNAL, STARTS_WITH_WATCHER], ids=["kernel", "watcher"])
def parent(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that starts a child with a parent-death signal and prints its exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", request.param],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        yield parent
        parent.kill()


def child_of(parent: subprocess.Popen[str]) -> psutil.Process:
    """The child process, once it has executed its command."""
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    sleeping = "import time; time.sleep(60)"
    wait_until(lambda: any(p.cmdline()[-1:] == [sleeping] for p in descendants(parent.pid)))
    return child


def test_child_ends_with_killed_parent(parent: subprocess.Popen[str]) -> None:
    child_of(parent)
    processes = descendants(parent.pid)

    parent.kill()

    wait_until(lambda: not any(is_alive(p) for p in processes), seconds=5)


def test_signal_is_forwarded_and_exit_code_reported(parent: subprocess.Popen[str]) -> None:
    child = child_of(parent)

    child.send_signal(signal.SIGTERM)

    assert parent.stdout is not None
    assert int(parent.stdout.readline()) == -signal.SIGTERM
