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
    """0 when everybody is as they should be, 1 when anything failed, 2 for wrong arguments."""
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
    result.add_argument("--seed", type=int, default=1, metavar="N", help="another company")
    result.add_argument("--rate", type=float, metavar="N", help="requests a second, at most")
    result.add_argument("--connections", type=at_least_one, default=16, metavar="N")
    result.add_argument("--dialect", type=Dialect, choices=list(Dialect), help="form of PATCH")
    result.add_argument("--json", action="store_true", help="print the summary as JSON")
    return result


def default_dialect(url: str) -> Dialect:
    """The flag in a Tenant URL asks Entra for the compact form; without it, a bit of both."""
    return Dialect.COMPACT if COMPACT_FLAG in url else Dialect.MIXED


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1, please")
    return number


if __name__ == "__main__":
    sys.exit(main())
