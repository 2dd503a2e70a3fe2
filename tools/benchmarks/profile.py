"""`make profile`: flame graphs of gateway and usersvc under GET requests."""

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.support.stack import ROOT
from tools.benchmarks.client import Bound
from tools.benchmarks.report.figures import DOCUMENTS
from tools.benchmarks.service import Region, service

BUILD = ROOT / "build" / "profile"
PUBLISHED = DOCUMENTS / "performance"
PROCESSES = ("gateway", "usersvc")
CONNECTIONS = 32
WARM_SECONDS = 3.0
RATE = 250
"""Samples a second."""

_NEEDS = (
    "py-spy may not read the memory of other processes here. It needs ptrace: run this as"
    " root, or set /proc/sys/kernel/yama/ptrace_scope to 0; in a container, add the capability"
    " SYS_PTRACE. On macOS it needs root."
)

_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*(</text>)')
"""The title of the SVG, which py-spy sets to its own command line."""


class NotAllowedError(Exception):
    """The profiler lacks a permission; the text says which."""


async def main(folder: Path, into: Path, name: str, seconds: int) -> list[Path]:
    """Record one flame graph per process, each over `seconds` under load."""
    async with service(folder, 1_000) as region:
        # Longer than all recordings; it is cancelled at the end.
        bound = Bound(1_000_000_000, WARM_SECONDS + len(PROCESSES) * (seconds + 60))
        load = asyncio.create_task(region.server.run("get", CONNECTIONS, bound))
        await asyncio.sleep(WARM_SECONDS)
        try:
            return [await _record(region, each, into, name, seconds) for each in PROCESSES]
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)


async def _record(region: Region, process: str, into: Path, name: str, seconds: int) -> Path:
    target = into / f"flame-{name}-{process}.svg"
    recorder = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("py-spy")),
        *("record", "--pid", str(region.stack.pid(process)), "--output", str(target)),
        *("--format", "flamegraph", "--function"),
        # If py-spy paused the process for each sample, gRPC's idle thread would seem busy.
        "--nonblocking",
        *("--duration", str(seconds), "--rate", str(RATE)),
        stdout=asyncio.subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await recorder.communicate()
    if recorder.returncode != 0:
        message = output.decode().strip()
        raise NotAllowedError(f"{message}\n\n{_NEEDS}" if "ermission" in message else message)
    title = f"{process}: GET of a user, {CONNECTIONS} connections"
    target.write_text(_TITLE.sub(rf"\g<1>{title}\g<2>", target.read_text()))
    return target


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the options; by default nothing below docs/ is written."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.profile", description=__doc__)
    parser.add_argument("--name", default="after")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--into", type=Path, default=BUILD, help="folder for the flame graphs")
    parser.add_argument(
        "--update-docs",
        dest="into",
        action="store_const",
        const=PUBLISHED,
        help="replace the published flame graphs",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse_options()
    options.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="profile-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # PostgreSQL's account must be able to traverse it
        try:
            for path in uvloop.run(main(folder, options.into, options.name, options.seconds)):
                print(path)
        except NotAllowedError as error:
            raise SystemExit(str(error)) from None
