"""BufferedLogWriter: lines share writes, and none is lost."""

import asyncio
import io
import select
import signal
import subprocess
import sys
import threading

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


async def test_failed_write_is_not_reported_to_the_event_loop():
    stream, reported = RecordingStream(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    lines = BufferedLogWriter(stream)
    stream.close()
    stream.write = lambda data: (_ for _ in ()).throw(BrokenPipeError())
    log(lines, b"one\n")
    await eventually(lambda: not lines._lines)
    del stream.write
    log(lines, b"two\n")
    await eventually(lambda: not lines._lines)
    assert (stream.writes, reported) == ([b"two\n"], [])


def test_pending_lines_are_written_at_exit():
    program = """
import asyncio, sys
from chassis.observability.log_writer import BufferedLogWriter

async def main():
    lines = BufferedLogWriter(sys.stdout.buffer)
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
