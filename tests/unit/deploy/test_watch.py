"""`make watch` ends with 0 whenever Ctrl-C arrives."""

import functools
import signal
from pathlib import Path

import pytest

from deploy.local.__main__ import main
from deploy.local.region import REGIONS, RegionPaths


def test_interrupt_while_asyncio_starts_ends_with_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """asyncio.run() then raises CancelledError, because it resets its count of interrupts late."""
    paths = RegionPaths(tmp_path, REGIONS["us"])
    paths.create_directories()
    paths.usersvc.write_text("127.0.0.1:1")
    install = signal.signal
    interrupted: list[object] = []

    def install_and_interrupt(number: int, handler: object) -> object:
        previous = install(number, handler)
        if isinstance(handler, functools.partial):  # the handler of asyncio
            interrupted.append(handler)
            signal.raise_signal(signal.SIGINT)
        return previous

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(signal, "signal", install_and_interrupt)
    try:
        assert main(["watch", "--directory", str(tmp_path)]) == 0
    finally:
        install(signal.SIGINT, before)
    assert len(interrupted) == 1
