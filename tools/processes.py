"""Stopping of processes that the tools start."""

import subprocess


def stop(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Send SIGTERM, wait for up to `seconds`, and kill the process if it still runs."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
