"""An Envoy process, configured from the manifests."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from deploy.local.ports import free_port
from tests.support.chassis.authorities import Authority
from tests.support.k8s.edge import EdgeObjects, EdgeSetup, bootstrap
from tests.support.k8s.tools import deploy_tool
from tests.support.process_memory import peak_bytes
from tests.support.waiting import wait_until

START_SECONDS = 20.0


@dataclass(frozen=True)
class Edge:
    """A running edge: its address, certificate authority, access log and process."""

    host: str
    port: int
    authority: Path
    access_log: Path
    process_id: int

    def peak_memory(self) -> int:
        """The peak memory of the process in bytes, including Envoy's code."""
        return peak_bytes(self.process_id)

    def url(self, path: str) -> str:
        return f"https://{self.host}:{self.port}{path}"

    def context(self) -> ssl.SSLContext:
        """A TLS context that trusts only this edge's certificate authority."""
        return ssl.create_default_context(cafile=str(self.authority))

    def session(self, address: str = "127.0.0.1") -> aiohttp.ClientSession:
        """A client that connects from `address` and resolves every host to this machine."""
        connector = aiohttp.TCPConnector(
            ssl=self.context(), resolver=_LocalResolver(), local_addr=(address, 0), force_close=True
        )
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))


@contextmanager
def running_edge(
    objects: EdgeObjects,
    folder: Path,
    gateway: tuple[str, int],
    grpc: tuple[str, int] | None = None,
) -> Iterator[Edge]:
    """Start an edge in front of a gateway; stop it at the end."""
    folder.mkdir(exist_ok=True)
    files = Authority().issue(folder / "certificate", objects.host)
    setup = EdgeSetup("127.0.0.1", free_port(), gateway, files, folder / "access.log", grpc)
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(objects, setup)))
    log = folder / "envoy.log"
    command = [deploy_tool("envoy"), "--config-path", str(config), "--concurrency", "1"]
    with log.open("wb") as output:
        envoy = subprocess.Popen(
            [*command, "--use-dynamic-base-id", "--log-level", "warning"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_listening(envoy, setup.port, log)
        yield Edge(objects.host, setup.port, files.authority, setup.access_log, envoy.pid)
    finally:
        envoy.terminate()
        envoy.wait(START_SECONDS)


def _wait_until_listening(envoy: subprocess.Popen[bytes], port: int, log: Path) -> None:
    def is_listening() -> bool:
        assert envoy.poll() is None, log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_listening, START_SECONDS, log.read_text)


class _LocalResolver(AbstractResolver):
    """Resolves every host to this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Do nothing: the resolver holds no resources."""
