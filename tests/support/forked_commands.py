"""Runs the command lines of services in processes that have already imported them.

Importing a service takes longer than most commands. A server process imports it once and forks for
each command: the command has its own process, environment and output, as if started by a shell.
"""

import atexit
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
STOP_SECONDS: Final = 5.0
PR_SET_PDEATHSIG: Final = 1  # prctl(2)

Outcome = tuple[int, str, str]
"""The exit code, the standard output and the standard error of a command."""


def run_forked(service: str, environment: Mapping[str, str], *arguments: str) -> Outcome:
    """Run `python -m SERVICE` with further environment variables until it ends.

    Do not use it for processes that serve until a signal.
    """
    return _command_server(service).run(environment, *arguments)


@cache
def _command_server(service: str) -> "_CommandServer":
    server = _CommandServer(service)
    atexit.register(server.stop)
    return server


class _CommandServer:
    """The process of one service. It also ends when this process ends for another reason."""

    def __init__(self, service: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, service],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End the process, and a command that still runs."""
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def run(self, environment: Mapping[str, str], *arguments: str) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            print(json.dumps([dict(environment), arguments]), file=self._process.stdin, flush=True)
            code, output, error_output = json.loads(self._process.stdout.readline())
        return code, output, error_output


def _serve(service: str) -> None:
    main = importlib.import_module(f"{service}.__main__").main
    for line in sys.stdin:
        environment, arguments = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error_output:
            child = os.fork()
            if child == 0:
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                os.dup2(output.fileno(), 1)
                os.dup2(error_output.fileno(), 2)
                os.environ.update(environment)
                os._exit(_exit_code(main, arguments))
            _, status = os.waitpid(child, 0)
            texts = [_text(file) for file in (output, error_output)]
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), *texts]) + "\n")
        sys.stdout.flush()


def _exit_code(main: Any, arguments: list[str]) -> int:
    """Run a command; returns its exit code. Standard input is empty, as with `< /dev/null`."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        code = main(arguments) if arguments else main()
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):  # as the interpreter does
            print(code, file=sys.stderr)  # noqa: T201
            code = 1
    except BaseException:  # noqa: BLE001 - as the interpreter does, too
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


def _text(file: Any) -> str:
    file.seek(0)
    text: str = file.read().decode()
    return text


if __name__ == "__main__":
    _serve(sys.argv[1])
