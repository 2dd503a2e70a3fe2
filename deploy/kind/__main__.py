"""`python -m deploy.kind up`: both regions in a Kubernetes cluster on this machine."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.kind.cluster import REGIONS, Cluster, StepFailedError
from deploy.kind.prerequisites import ALTERNATIVE, missing
from deploy.local.terminal import say

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Create or remove the cluster; returns the exit code."""
    options = _parse(arguments)
    if problems := missing():
        print(
            "Kubernetes cannot run on this machine:", *(f"  {line}" for line in problems), sep="\n"
        )
        print(f"\n{ALTERNATIVE}")
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
    say("Creating the cluster ...")
    cluster.create()
    say("Building the image ...")
    cluster.load_image()
    say("Installing cert-manager, CloudNativePG and Envoy Gateway ...")
    cluster.install_operators()
    say("Rolling out both regions ...")
    cluster.deploy()
    connections = {region: cluster.connect(region) for region in REGIONS}
    for region, client_settings in connections.items():
        say(f"\n{region.name.upper()}  Tenant URL    {client_settings.tenant_url}")
        say(f"    Secret Token  {client_settings.secret_token}")
        say(f"    CA certificate  {cluster.authority(region)}")
    codes = [
        subprocess.run(
            [sys.executable, "-m", "tools.entra", "--people", str(people)],
            cwd=cluster.root,
            env={
                **os.environ,
                "TENANT_URL": client_settings.tenant_url,
                "SECRET_TOKEN": client_settings.secret_token,
                "SSL_CERT_FILE": str(cluster.authority(region)),
            },
            check=False,
        ).returncode
        for region, client_settings in connections.items()
        if people
    ]
    return max(codes, default=0)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.kind", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="create the cluster and roll out both regions")
    up.add_argument(
        "--people",
        type=int,
        default=100,
        help="number of people to provision as Entra does; 0: none",
    )
    down = commands.add_parser("down", help="remove the cluster")
    for command in (up, down):
        command.add_argument(
            "--directory",
            default=str(ROOT / ".run"),
            help="where tokens and certificates are stored",
        )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
