"""`python -m deploy.local run --region us`: run all processes of one region on this machine."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import grpc

from deploy.local.admin import AdminError, run_command
from deploy.local.panel import relative_to_cwd
from deploy.local.ports import PortError, choose_port
from deploy.local.postgres import PostgresError
from deploy.local.processes.child import ChildFailedError
from deploy.local.processes.lock import AlreadyRunningError, hold_lock
from deploy.local.processes.programs import Programs
from deploy.local.processes.supervisor import Supervisor
from deploy.local.region import REGIONS, RegionPaths
from deploy.local.setup.account import AccountError
from deploy.local.terminal import say
from deploy.local.watch import read_address, watch

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Run or watch a region until a signal stops it, or run a command; returns the exit code."""
    # A shell without job control starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = _parse(arguments, root)
    paths = RegionPaths(Path(options.directory).absolute(), REGIONS[options.region])
    match options.command:
        case "watch":
            return _watch(paths)
        case "admin":
            return _admin(paths, root, options.arguments)
        case _:
            return _run(paths, options.port, root)


def _run(paths: RegionPaths, requested_port: int | None, root: Path) -> int:
    region = paths.region
    paths.create_directories()
    try:
        with hold_lock(paths.lock):
            port = choose_port(requested_port, region.default_port)
            asyncio.run(_supervise(Supervisor(paths, Programs(root, paths), port)))
    except AlreadyRunningError as error:
        return _fail(
            f"Region {region.name} already runs here ({error}); its Tenant URL and token are in "
            f"{relative_to_cwd(paths.client_settings)}. To stop it, press Ctrl-C in its terminal."
        )
    except ChildFailedError as error:
        return _fail(f"{error}. {relative_to_cwd(error.log)} ends with:\n\n{error.tail}\n")
    except (AccountError, PortError, PostgresError) as error:
        return _fail(str(error))
    except grpc.aio.AioRpcError as error:
        return _fail(f"The first key or administrator could not be created: {error.details()}")
    except KeyboardInterrupt:  # before the signal handlers are installed
        return FAILED
    say("Stopped.")
    return 0


def _watch(paths: RegionPaths) -> int:
    address = read_address(paths.usersvc)
    if address is None:
        return _fail(f"Region {paths.region.name} does not run here. Start it with 'make run'.")
    # asyncio.run() raises CancelledError if SIGINT arrives while it starts.
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        say(f"Changes of region {paths.region.name}; press Ctrl-C to stop.")
        asyncio.run(watch(address))
    return 0


def _admin(paths: RegionPaths, root: Path, arguments: Sequence[str]) -> int:
    try:
        return run_command(paths, root, arguments)
    except AdminError as error:
        return _fail(str(error))


async def _supervise(supervisor: Supervisor) -> None:
    stop, force = asyncio.Event(), asyncio.Event()

    def request_stop() -> None:
        (force if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, request_stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: outlive the terminal
        loop.add_signal_handler(signal.SIGHUP, request_stop)
    await supervisor.run(stop, force)


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return FAILED


def _parse(arguments: Sequence[str], root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True)
    run = command.add_parser("run", help="start a region and supervise it")
    run.add_argument(
        "--port", type=_port, help="the gateway's port (default: the region's, or a free one)"
    )
    watching = command.add_parser("watch", help="print the changes of a running region")
    admin = command.add_parser("admin", help="run an operator's command on a running region")
    for each in (run, watching, admin):
        each.add_argument("--region", choices=sorted(REGIONS), default="us")
        each.add_argument(
            "--directory", default=str(root / ".run"), help="directory for data and logs"
        )
    admin.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="usersvc|keysvc COMMAND",
        help="the command and its arguments",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port; choose 1 to 65535")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
