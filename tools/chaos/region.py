"""A region with two replicas of each process, into which faults can be injected."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.files import read_or_create_secret
from deploy.local.ports import free_port
from deploy.local.postgres import Cluster
from deploy.local.processes.child import Child, Program
from deploy.local.processes.programs import Programs
from deploy.local.region import US, RegionPaths
from tests.support.keysvc.process import token_of_new_organization
from tools.chaos.certificates import SERVICES, RegionCertificates
from tools.chaos.named_service import NamedService, named_service
from tools.chaos.pgbouncer import Pooler, manifest_parameters, running_pooler
from tools.chaos.proxy import Proxy
from tools.chaos.standby import ReplicatedCluster

ROOT = Path(__file__).resolve().parents[2]
REPLICAS = 2
DISK_MIB = 1_000
BALANCER_DELAY_SECONDS = 0.5
"""Time during which a load balancer still sends requests to a removed gateway."""


@dataclass
class Region:
    """The running processes, and the gateways in the load balancer (`balanced`)."""

    cluster: Cluster
    disk: Path
    usersvc: list[Child]
    keysvc: list[Child]
    gateways: list[Child]
    names: list[NamedService]
    """The names of usersvc and keysvc."""
    certificates: RegionCertificates
    token: str
    balanced: list[Child]
    replicated: ReplicatedCluster
    """The database, and a standby that is not started yet."""
    cleanup: ExitStack = field(default_factory=ExitStack)
    poolers: list[Pooler] = field(default_factory=list)
    violations: Counter[str] = field(default_factory=Counter)
    """Forbidden effects that a fault found by itself."""

    @property
    def proxies(self) -> list[Proxy]:
        """The proxies in front of both usersvc and both keysvc."""
        return [proxy for service in self.names for proxy in service.proxies]

    @property
    def processes(self) -> list[Child]:
        return [*self.gateways, *self.usersvc, *self.keysvc]

    def urls(self) -> list[str]:
        """The URLs of the gateways in the load balancer."""
        return [f"http://{each.address}/webhooks/ad/v1/scim" for each in self.balanced]

    async def kill(self, children: Sequence[Child]) -> None:
        """Kill processes with SIGKILL and restart them."""
        for child in children:
            assert child.pid is not None
            for each in (*psutil.Process(child.pid).children(recursive=True), child):
                with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                    os.kill(each.pid, signal.SIGKILL)
        force = asyncio.Event()
        force.set()
        await asyncio.gather(*(self._restart(child, force) for child in children))

    async def roll(self) -> None:
        """Restart all replicas one after the other, as a rolling update does."""
        await self.roll_out(self.processes)

    async def roll_out(self, children: Sequence[Child]) -> None:
        """Restart some processes one after the other, with their current programs."""
        for child in children:
            async with self.out_of_service(child):
                pass
            await asyncio.sleep(1.0)

    @asynccontextmanager
    async def out_of_service(self, child: Child) -> AsyncIterator[None]:
        """Stop a process during the block. Then start its current program, and wait for it."""
        if child in self.gateways:
            self.balanced.remove(child)
            await asyncio.sleep(BALANCER_DELAY_SECONDS)
        await child.stop(asyncio.Event())
        yield
        await child.start(*self.arguments(child))
        if child in self.gateways:
            await self.balance(child, ready=True)
        else:
            await self._wait_until_serving(child)

    async def _wait_until_serving(self, child: Child) -> None:
        """Wait until a service is ready, as a rolling update does."""
        async with self.certificates.channel(child.address, child.name) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            async for response in health.Watch(health_pb2.HealthCheckRequest()):
                if response.status == health_pb2.HealthCheckResponse.SERVING:
                    return

    def replicas(self, service: str) -> list[Child]:
        """The processes of usersvc or keysvc."""
        return {"usersvc": self.usersvc, "keysvc": self.keysvc}[service]

    def arguments(self, child: Child) -> tuple[str, ...]:
        """The arguments with which a process serves."""
        return () if child in self.gateways else ("serve",)

    async def _restart(self, child: Child, force: asyncio.Event) -> None:
        await child.stop(force)
        await child.start(*self.arguments(child))

    def read_output(self, children: Sequence[Child], *, reads: bool) -> None:
        """Stop reading the standard output of processes, or continue."""
        for child in children:
            pipe = child._process._transport.get_pipe_transport(1)  # type: ignore[union-attr]
            if reads:
                pipe.resume_reading()
            else:
                pipe.pause_reading()

    async def connect_through_pooler(self) -> list[Pooler]:
        """Restart the services behind a PgBouncer each, with the parameters of the manifests.

        They stay behind it; further calls only return the poolers of usersvc and keysvc.
        """
        for service in SERVICES if not self.poolers else ():
            children = self.replicas(service)
            program = children[0].program
            variable = f"{service.upper()}_DATABASE"
            url = program.environment[f"{variable}_URL"]
            folder = self.disk.with_name(f"pooler-{service}")
            pooler = self.cleanup.enter_context(
                running_pooler(folder, [url], manifest_parameters(service))
            )
            self.poolers.append(pooler)
            changed = {f"{variable}_URL": pooler.urls[0], f"{variable}_LISTEN_URL": url}
            for child in children:
                environment = {**child.program.environment, **changed}
                child.program = replace(child.program, environment=environment)
            await self.roll_out(children)
        return self.poolers

    async def limit_descriptors(self, descriptors: int, hard: int) -> None:
        """Restart the gateways with few file descriptors, which they may raise to `hard`."""
        limit = ("prlimit", f"--nofile={descriptors}:{hard}")
        for child in self.gateways:
            child.program = replace(child.program, command=(*limit, *child.program.command))
        await self.roll_out(self.gateways)

    async def control_clock(self, child: Child) -> Path:
        """Restart a process with a clock that is ahead by the seconds in the returned file."""
        file = child.program.log.with_suffix(".clock")
        file.write_text("0")
        command = child.program.command
        module = command.index("-m") + 1  # an earlier fault may start Python by another program
        launcher = (*command[:module], "tools.chaos.shifted_clock", str(file))
        child.program = replace(child.program, command=(*launcher, *command[module:]))
        await self.roll_out([child])
        return file

    async def is_ready(self, gateway: Child) -> bool:
        """Whether a gateway reports that it is ready, as the load balancer asks."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{gateway.address}/readyz") as response,
        ):
            return response.status == 200

    async def wait_for_readiness(self, gateway: Child, *, ready: bool) -> None:
        """Wait until a gateway reports that it is ready, or that it is not."""
        while await self.is_ready(gateway) is not ready:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(BALANCER_DELAY_SECONDS)

    async def balance(self, gateway: Child, *, ready: bool) -> None:
        """Wait for a readiness, and add the gateway to the load balancer or remove it."""
        await self.wait_for_readiness(gateway, ready=ready)
        if ready:
            self.balanced.append(gateway)
        else:
            self.balanced.remove(gateway)

    def freeze(self, signal_number: int) -> None:
        """Send SIGSTOP or SIGCONT to every process of the database server."""
        assert self.cluster.pid is not None
        server = psutil.Process(self.cluster.pid)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal_number)

    def fail_over(self) -> None:
        """Promote the standby; the services find it at the address of the primary."""
        self.replicated.fail_over_at_same_address()
        self.cluster = self.replicated.standby

    def kill_database(self) -> None:
        assert self.cluster.pid is not None
        os.kill(self.cluster.pid, signal.SIGKILL)

    @property
    def fill_file(self) -> Path:
        return self.disk / "ballast"

    def fill_disk(self) -> bool:
        """Fill the database's disk. False if the disk is not a file system of its own."""
        if not os.path.ismount(self.disk):
            return False
        with contextlib.suppress(OSError), self.fill_file.open("wb") as file:
            while True:
                file.write(b"\0" * 65_536)
                file.flush()
        return True


@asynccontextmanager
async def running_region(folder: Path) -> AsyncIterator[Region]:
    """Start a region in a folder, with its database on a small tmpfs if that can be mounted."""
    paths = RegionPaths(folder, US)
    paths.create_directories()
    disk = paths.postgres
    disk.mkdir(mode=0o711, exist_ok=True)
    async with AsyncExitStack() as stack:
        if _mount(disk):
            stack.callback(subprocess.run, ["umount", str(disk)], check=False)
        # WAL stays small, so that the server can start again after the disk was full.
        cluster = Cluster(disk, log=paths.log("postgres"), settings={"max_wal_size": "64MB"})
        stack.callback(cluster.stop)
        cluster.start()
        region = await _start(paths, cluster, stack)
        for gateway in region.gateways:
            await region.wait_for_readiness(gateway, ready=True)
        yield region


async def _start(paths: RegionPaths, cluster: Cluster, stack: AsyncExitStack) -> Region:
    programs = Programs(ROOT, paths)
    certificates = RegionCertificates(paths.folder / "certificates")
    cleanup = stack.enter_context(ExitStack())
    replicated = ReplicatedCluster.of(
        cluster, paths.postgres.with_name("standby"), paths.log("postgres-standby")
    )
    cleanup.callback(replicated.standby.stop)

    def database(name: str, role: str) -> str:
        password = read_or_create_secret(paths.password(role))
        return cluster.create_role_and_database(name, role, password)

    def replicas(program: Program, *ports: int) -> list[Child]:
        secured = certificates.program(program)
        children = [
            Child(replace(secured, log=paths.log(f"{program.name}{n}")), port)
            for n, port in enumerate(ports)
        ]
        stack.push_async_callback(_stop, children)
        return children

    keys_url = database("keys", "keysvc")
    usersvc = replicas(programs.usersvc(database("users", "usersvc")), *[0] * REPLICAS)
    keysvc = replicas(programs.keysvc(keys_url), *[0] * REPLICAS)
    names = []
    for service, children in zip(SERVICES, (usersvc, keysvc), strict=True):
        await children[0].run_to_end("migrate")
        for child in children:
            await child.start("serve")
        ports = [child.port for child in children]
        names.append(await stack.enter_async_context(named_service(f"{service}.test", ports)))
    ports = [free_port() for _ in range(REPLICAS)]
    targets = [service.target for service in names]
    gateways = replicas(programs.gateway(*targets, ports[0]), *ports)
    for gateway in gateways:
        await gateway.start()
    return Region(
        cluster,
        paths.postgres,
        usersvc,
        keysvc,
        gateways,
        names,
        certificates,
        await asyncio.to_thread(token_of_new_organization, keys_url),
        list(gateways),
        replicated,
        cleanup,
    )


async def _stop(children: Sequence[Child]) -> None:
    await asyncio.gather(*(child.stop(asyncio.Event()) for child in children))


def _mount(disk: Path) -> bool:
    """Mount a small tmpfs for the database; False without the permission."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=711", "tmpfs", str(disk)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
