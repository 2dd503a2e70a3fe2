"""`python -m deploy.local run --region us`: the whole system of one region, on this machine."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import grpc

from deploy.local.panel import shown
from deploy.local.ports import PortError, choose_port
from deploy.local.postgres import PostgresError
from deploy.local.processes.child import ChildFailedError
from deploy.local.processes.lock import AlreadyRunningError, held
from deploy.local.processes.programs import Programs
from deploy.local.processes.supervisor import Supervisor
from deploy.local.region import REGIONS, Places
from deploy.local.setup.account import AccountError
from deploy.local.terminal import say
from deploy.local.watch import read_address, watch

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Run a region until told to stop; returns the exit code."""
    # A shell without job control starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = _parse(arguments, root)
    places = Places(Path(options.directory).absolute(), REGIONS[options.region])
    return _watch(places) if options.command == "watch" else _run(places, options.port, root)


def _run(places: Places, wanted_port: int | None, root: Path) -> int:
    region = places.region
    places.make()
    try:
        with held(places.lock):
            port = choose_port(wanted_port, region.usual_port)
            asyncio.run(_supervise(Supervisor(places, Programs(root, places), port)))
    except AlreadyRunningError as error:
        return _refused(
            f"Region {region.name} already runs here ({error}); {shown(places.connection)} says "
            "how to reach it. Stop it with Ctrl-C where it was started."
        )
    except ChildFailedError as error:
        return _refused(f"{error}. {shown(error.log)} ends with:\n\n{error.tail}\n")
    except (AccountError, PortError, PostgresError) as error:
        return _refused(str(error))
    except grpc.aio.AioRpcError as error:
        return _refused(f"The first key or administrator could not be made: {error.details()}")
    except KeyboardInterrupt:  # in the moment before signals are taken care of
        return FAILED
    say("Stopped.")
    return 0


def _watch(places: Places) -> int:
    address = read_address(places.usersvc)
    if address is None:
        return _refused(f"Region {places.region.name} does not run here: 'make run' starts it.")
    with suppress(KeyboardInterrupt):
        say(f"Changes of region {places.region.name}, as they happen; Ctrl-C ends.")
        asyncio.run(watch(address))
    return 0


async def _supervise(supervisor: Supervisor) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked to outlive a terminal
        loop.add_signal_handler(signal.SIGHUP, told)
    await supervisor.run(stop, hurry)


def _refused(text: str) -> int:
    print(text, file=sys.stderr)
    return FAILED


def _parse(arguments: Sequence[str], root: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True)
    run = command.add_parser("run", help="start everything and supervise it")
    run.add_argument("--port", type=_port, help="the gateway's port (a usual or free one)")
    watching = command.add_parser("watch", help="print the changes of a region that runs")
    for each in (run, watching):
        each.add_argument("--region", choices=sorted(REGIONS), default="us")
        each.add_argument(
            "--directory", default=str(root / ".run"), help="where data and logs are kept"
        )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: 1 to 65535")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
