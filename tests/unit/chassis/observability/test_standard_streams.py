"""Standard output and standard error never block a process."""

import os
import pty
import subprocess
import sys

import pytest

FILL = """
import os, sys
from chassis.observability.standard_streams import make_nonblocking
output = make_nonblocking()
for descriptor in (1, 2):
    try:
        for _ in range(1_000):
            os.write(descriptor, b"." * 1_000)
    except BlockingIOError:
        continue
    sys.exit(3)
sys.exit(0 if output.write(b"." * 1_000) is None else 4)
"""


def run(program: str, output: int) -> int:
    """Run a program whose standard streams nobody reads; returns its exit code."""
    process = subprocess.Popen((sys.executable, "-c", program), stdout=output, stderr=output)
    try:
        return process.wait(20)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("open_streams", [os.pipe, pty.openpty], ids=["pipe", "terminal"])
def test_write_to_an_unread_stream_does_not_block(open_streams):
    read_end, write_end = open_streams()
    try:
        assert run(FILL, write_end) == 0
        # Other processes that write to the same stream are not affected.
        assert os.get_blocking(write_end)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_process_without_standard_output_does_not_start():
    program = "import sys; sys.stdout = None\n" + FILL
    result = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=False
    )
    assert "standard output is closed" in result.stderr
