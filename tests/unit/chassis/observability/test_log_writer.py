"""BufferedLogWriter: lines share writes; the output never blocks, and lost lines are counted."""

import asyncio
import fcntl
import io
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from chassis.observability.log_writer import BufferedLogWriter
from tests.support.waiting import eventually, wait_until


class RecordingStream(io.BytesIO):
    """A stream that records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def flush(self) -> None:
        pass

    def write(self, data: bytes) -> int:
        self.writes.append(bytes(data))
        return len(data)


def log(lines: BufferedLogWriter, *texts: bytes) -> None:
    for text in texts:
        lines.write(text)
        lines.flush()


async def test_single_line_is_written_at_the_next_turn_of_the_loop():
    stream = RecordingStream()
    log(BufferedLogWriter(stream), b"one\n")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stream.writes == [b"one\n"]


async def test_lines_in_quick_succession_share_a_write():
    stream = RecordingStream()
    lines = BufferedLogWriter(stream)
    log(lines, b"one\n", b"two\n")
    await asyncio.sleep(0)
    log(lines, b"three\n")
    await asyncio.sleep(0)
    log(lines, b"four\n")
    await eventually(lambda: len(stream.writes) >= 2)
    assert stream.writes == [b"one\ntwo\n", b"three\nfour\n"]


async def test_line_of_another_thread_is_written_with_pending_lines():
    stream = RecordingStream()
    lines = BufferedLogWriter(stream)
    log(lines, b"one\n")
    thread = threading.Thread(target=log, args=(lines, b"two\n"))
    thread.start()
    thread.join()
    assert stream.writes == [b"one\ntwo\n"]


async def test_line_whose_write_failed_is_written_later_without_an_error():
    stream, reported = RecordingStream(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    lines = BufferedLogWriter(stream)
    failures = iter([BrokenPipeError(), BlockingIOError()])
    stream.write = lambda data: (_ for _ in ()).throw(next(failures))
    log(lines, b"one\n")
    await eventually(lambda: lines._is_broken)
    del stream.write
    log(lines, b"two\n")
    await eventually(lambda: len(stream.writes) >= 2)
    assert (stream.writes, reported) == ([b"one\n", b"two\n"], [])


def pipe() -> tuple[int, io.FileIO]:
    """The smallest pipe, whose write end does not block."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    fcntl.fcntl(read_end, fcntl.F_SETPIPE_SZ, 4096)
    return read_end, io.FileIO(write_end, "w")


async def test_lines_that_nobody_reads_are_dropped_counted_and_reported():
    read_end, output = pipe()
    lines, reports = BufferedLogWriter(output, max_bytes=5_000), []
    lines.report = reports.append
    numbered = [b"a line that is number %03d\n" % number for number in range(1_000)]
    for line in numbered:
        log(lines, line)
        await asyncio.sleep(0)
    dropped = lines.dropped
    received = b""

    def has_report() -> bool:
        nonlocal received
        while select.select([read_end], [], [], 0)[0]:
            received += os.read(read_end, 65_536)
        return bool(reports)

    await eventually(has_report)
    kept = received.splitlines(keepends=True)
    output.close()
    os.close(read_end)

    assert dropped == len(numbered) - len(kept) > 0
    assert kept == [line for line in numbered if line in set(kept)]
    assert (reports, lines.dropped) == ([dropped], dropped)


async def test_lines_lost_on_a_full_disk_are_counted_and_reported(tmp_path: Path):
    file, reports = tmp_path / "log", []
    with io.FileIO("/dev/full", "w") as output, file.open("wb") as usable:
        lines = BufferedLogWriter(output, max_bytes=100)
        lines.report = reports.append
        log(lines, *(b"a line of twenty by\n" for _ in range(8)))
        await eventually(lambda: lines._is_broken)
        os.dup2(usable.fileno(), output.fileno())  # the disk has space again
        await eventually(lambda: reports)

    assert (file.read_bytes(), reports) == (5 * b"a line of twenty by\n", [3])


def test_pending_lines_are_written_at_exit():
    program = """
import asyncio, sys
from chassis.observability.log_writer import BufferedLogWriter

async def main():
    lines = BufferedLogWriter(open(1, "wb", buffering=0))
    for text in (b"one\\n", b"two\\n"):
        lines.write(text)
        lines.flush()
        await asyncio.sleep(0)
    sys.exit(3)

asyncio.run(main())
"""
    result = subprocess.run((sys.executable, "-c", program), capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (3, b"one\ntwo\n")


def test_lines_for_a_closed_stream_are_dropped_silently_at_exit():
    program = """
import io, sys
from chassis.observability.log_writer import BufferedLogWriter

stream = io.BytesIO()
lines = BufferedLogWriter(stream)
lines.write(b"one\\n")  # not flushed, as when an event loop ends before its next turn
stream.close()
"""
    result = subprocess.run((sys.executable, "-c", program), capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


async def test_partial_write_is_continued():
    class PartialStream(RecordingStream):
        def write(self, data: bytes) -> int:
            return super().write(data[:4])

    stream = PartialStream()
    log(BufferedLogWriter(stream), b"one\n", b"two three\n")
    await eventually(lambda: b"".join(stream.writes).endswith(b"three\n"))
    assert b"".join(stream.writes) == b"one\ntwo three\n"
    assert len(stream.writes) > 1


def test_signal_during_a_long_write_loses_no_line():
    """A full pipe accepts a part of the data; the signal arrives while the rest waits."""
    program = """
import os, signal, sys
from chassis.observability.log_writer import BufferedLogWriter
signal.signal(signal.SIGTERM, lambda *_: None)
lines = BufferedLogWriter(sys.stdout.buffer)
for number in range(20_000):
    lines.write(b"a line that is number %d\\n" % number)
sys.stderr.write("ready")
lines.flush()
"""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.read(5) == b"ready"
    while not select.select([process.stdout], [], [], 0.1)[0]:
        pass
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert output.splitlines() == [b"a line that is number %d" % number for number in range(20_000)]
