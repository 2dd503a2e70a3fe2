"""`python -m deploy.kind up`: both regions in a Kubernetes on this machine."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.kind.cluster import REGIONS, Cluster, StepFailedError
from deploy.kind.prerequisites import INSTEAD, missing
from deploy.local.terminal import say

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Make the cluster or remove it; returns the exit code."""
    options = _parse(arguments)
    if lacking := missing():
        print("No Kubernetes can run here:", *(f"  {line}" for line in lacking), sep="\n")
        print(f"\n{INSTEAD}")
        return FAILED
    cluster = Cluster(ROOT, Path(options.directory).absolute())
    try:
        if options.command == "down":
            cluster.remove()
            return 0
        return _up(cluster, options.people)
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return FAILED


def _up(cluster: Cluster, people: int) -> int:
    cluster.directory.mkdir(parents=True, exist_ok=True)
    say("Making the cluster ...")
    cluster.create()
    say("Building the image ...")
    cluster.load_image()
    say("Installing what the regions build on ...")
    cluster.install_operators()
    say("Rolling out both regions ...")
    cluster.deploy()
    connections = {region: cluster.connect(region) for region in REGIONS}
    for region, connection in connections.items():
        say(f"\n{region.name.upper()}  Tenant URL    {connection.tenant_url}")
        say(f"    Secret Token  {connection.secret_token}")
        say(f"    trust         {cluster.authority(region)}")
    codes = [
        subprocess.run(
            [sys.executable, "-m", "tools.entra", "--people", str(people)],
            cwd=cluster.root,
            env={
                **os.environ,
                "TENANT_URL": connection.tenant_url,
                "SECRET_TOKEN": connection.secret_token,
                "SSL_CERT_FILE": str(cluster.authority(region)),
            },
            check=False,
        ).returncode
        for region, connection in connections.items()
        if people
    ]
    return max(codes, default=0)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.kind", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the cluster and roll both regions out")
    up.add_argument("--people", type=int, default=100, help="play Entra with so many; 0 for none")
    down = commands.add_parser("down", help="remove the cluster")
    for command in (up, down):
        command.add_argument("--directory", default=str(ROOT / ".run"), help="what is kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
