"""Provision generated people into a tenant as Microsoft Entra ID does.

python -m tools.entra --url TENANT_URL --token SECRET_TOKEN --people 1000
"""

import argparse
import asyncio
import os
import sys

from tools.entra.cycle import Options, run
from tools.entra.dialects import Dialect
from tools.entra.report import as_json, as_text, terminal_progress

COMPACT_FLAG = "aadOptscim062020"


def main() -> int:
    """Exit code 0 if all people are correct at the end, 1 after a failure, 2 for wrong usage."""
    arguments = parser().parse_args()
    options = Options(
        url=arguments.url,
        token=arguments.token,
        people=arguments.people,
        seed=arguments.seed,
        rate=arguments.rate,
        connections=arguments.connections,
        dialect=arguments.dialect or default_dialect(arguments.url),
    )
    summary = asyncio.run(run(options, terminal_progress()))
    print(as_json(summary) if arguments.json else as_text(summary))
    return 0 if summary.succeeded else 1


def parser() -> argparse.ArgumentParser:
    url, token = os.environ.get("TENANT_URL"), os.environ.get("SECRET_TOKEN")
    result = argparse.ArgumentParser(prog="python -m tools.entra", description=__doc__)
    result.formatter_class = argparse.RawDescriptionHelpFormatter
    result.add_argument("--url", default=url, required=url is None, help="or TENANT_URL")
    result.add_argument("--token", default=token, required=token is None, help="or SECRET_TOKEN")
    result.add_argument("--people", type=at_least_one, default=1000, metavar="N")
    result.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the generated people"
    )
    result.add_argument("--rate", type=float, metavar="N", help="maximum requests a second")
    result.add_argument("--connections", type=at_least_one, default=16, metavar="N")
    result.add_argument("--dialect", type=Dialect, choices=list(Dialect), help="form of PATCH")
    result.add_argument("--json", action="store_true", help="print the summary as JSON")
    return result


def default_dialect(url: str) -> Dialect:
    """Compact if the flag is in the Tenant URL, as with Entra; else both forms in turn."""
    return Dialect.COMPACT if COMPACT_FLAG in url else Dialect.MIXED


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
