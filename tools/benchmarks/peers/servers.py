"""Other SCIM servers, each in an environment of its own, configured as their users do.

`make peers` installs them; their configuration is in `peers/`. django-scim2 has a database of its
own in the service's PostgreSQL server. The others keep people in memory, so each has one process.
None of them logs requests, and each accepts a single token.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from deploy.local.ports import free_port
from tests.support.stack import ROOT
from tools.benchmarks.service import SAMPLE_USERS, Region
from tools.benchmarks.started import environment, running, wait_until_listening
from tools.benchmarks.subjects import Server, UnavailableError
from tools.benchmarks.work import Removal, Work, by_path, by_value

PROJECTS = ROOT / "tools" / "benchmarks" / "peers"
ENVIRONMENTS = ROOT / ".venv-peers"
NODE_MODULES = ROOT / "requirements" / "peers" / "scimmy" / "node_modules"

START_SECONDS = 240.0
"""Time limit to start with all people in memory."""

Peer = Callable[[Region, int], AbstractAsyncContextManager[Server]]


@asynccontextmanager
async def django_scim2(region: Region, people: int) -> AsyncIterator[Server]:
    """django-scim2 under gunicorn: two processes with four threads, persistent connections."""
    python = _environment("django-scim2")
    port, token = free_port(), secrets.token_urlsafe(16)
    database = await _database(region, "django_scim2")
    variables = {
        "PEER_TOKEN": token,
        "PEER_DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "django_peer.settings",
        "PYTHONPATH": str(PROJECTS),
    }
    migrate = ("-m", "django", "migrate", "--run-syncdb", "--verbosity=0")
    await _run_to_end(python, *migrate, **variables)
    work = Work(f"127.0.0.1:{port}", "/scim/v2", token)
    work.people = await _fill_django(database, people)
    gunicorn = [python, "-m", "gunicorn", "django_peer.wsgi", f"--bind=127.0.0.1:{port}"]
    gunicorn += ["--worker-class=gthread", "--workers=2", "--threads=4", "--keep-alive=75"]
    gunicorn += ["--log-level=warning"]
    with running(gunicorn, PROJECTS, variables) as process:
        await wait_until_listening(process, port, START_SECONDS)
        work.group = await _group(work)
        yield Server("django-scim2", ("127.0.0.1", port), work, [process.pid, region.postgres])


@asynccontextmanager
async def scim2_server(_: Region, people: int) -> AsyncIterator[Server]:
    """scim2-server with in-memory storage, under uvicorn with uvloop and httptools."""
    command = [_environment("scim2-server"), "-m", "uvicorn", "scim2_server_peer:application"]
    command += ["--host=127.0.0.1", "--loop=uvloop", "--http=httptools", "--no-access-log"]
    command += ["--log-level=warning", "--port={port}"]
    async with _in_memory("scim2-server", command, "/v2", people, by_path) as server:
        yield server


@asynccontextmanager
async def scimmy(_: Region, people: int) -> AsyncIterator[Server]:
    """scimmy-routers on express, under Node.js."""
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("Node.js is not installed")
    if not (NODE_MODULES / ".complete").exists():
        raise UnavailableError("its packages are not installed; run `make peers`")
    command = [node, str(PROJECTS / "scimmy.mjs")]
    async with _in_memory("scimmy", command, "/scim/v2", people, by_value) as server:
        yield server


PEERS: dict[str, Peer] = {
    "django-scim2": django_scim2,
    "scim2-server": scim2_server,
    "scimmy": scimmy,
}
IN_MEMORY = ("scim2-server", "scimmy")


@asynccontextmanager
async def _in_memory(
    name: str, command: list[str], prefix: str, people: int, removal: Removal
) -> AsyncIterator[Server]:
    port, token = free_port(), secrets.token_urlsafe(16)
    variables = {"PEER_TOKEN": token, "PEER_PEOPLE": str(people), "PEER_PORT": str(port)}
    variables["PYTHONPATH"] = str(PROJECTS)
    with running([word.format(port=port) for word in command], PROJECTS, variables) as process:
        try:
            await wait_until_listening(process, port, START_SECONDS)
        except TimeoutError:
            raise UnavailableError(
                f"it did not start with {people:,} people within {START_SECONDS:.0f} s"
            ) from None
        work = Work(f"127.0.0.1:{port}", prefix, token, removal=removal)
        work.people = await _find_people(work, people)
        work.group = await _group(work)
        yield Server(name, ("127.0.0.1", port), work, [process.pid])


def _environment(name: str) -> str:
    """The Python of a peer's environment."""
    folder = ENVIRONMENTS / name
    if not (folder / ".complete").exists():
        raise UnavailableError("its packages are not installed; run `make peers`")
    return str(folder / "bin" / "python")


async def _run_to_end(*command: str, **variables: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECTS, env=environment(variables)
    )
    if await process.wait() != 0:
        raise UnavailableError(f"`{' '.join(command[1:])}` failed")


# --- people -----------------------------------------------------------------------------


async def _database(region: Region, name: str) -> str:
    """Create a database and its owner on the region's PostgreSQL server; returns its URL."""
    parts, secret = urlsplit(region.database), secrets.token_hex(16)
    superuser = region.stack.paths.postgres / "superuser.password"
    connection = await asyncpg.connect(
        host=parts.hostname,
        port=parts.port,
        user="postgres",
        password=superuser.read_text().strip(),
        database="postgres",
    )
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{secret}'")
    await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    # PostgreSQL's default; the service's cluster forces generic plans.
    await connection.execute(f"ALTER DATABASE {name} SET plan_cache_mode = auto")
    await connection.close()
    return f"postgresql://{name}:{secret}@{parts.hostname}:{parts.port}/{name}"


async def _fill_django(database: str, people: int) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(database)
    await connection.execute(_INSERT_USERS, people, timeout=600)
    await connection.execute(
        "SELECT setval(pg_get_serial_sequence('django_peer_user', 'id'), max(id))"
        " FROM django_peer_user"
    )
    await connection.execute("VACUUM ANALYZE", timeout=600)
    rows = await connection.fetch(
        "SELECT scim_id, username FROM django_peer_user ORDER BY random() LIMIT $1", SAMPLE_USERS
    )
    await connection.close()
    return [tuple(row) for row in rows]


_INSERT_USERS = """
    INSERT INTO django_peer_user
        (id, scim_id, scim_external_id, username, scim_username, email, first_name, last_name,
         password, is_superuser, is_staff, is_active, date_joined)
    SELECT n, n, 'u' || n, 'u' || n || '@bench.test', 'u' || n || '@bench.test',
           'u' || n || '@bench.test', 'Ann', 'Li', '', false, false, true, now()
      FROM generate_series(1, $1::bigint) AS n
"""


async def _find_people(work: Work, people: int) -> list[tuple[str, str]]:
    """Look up a sample of the people by name."""
    numbers = Random(7).sample(range(1, people + 1), min(SAMPLE_USERS, people))
    async with _session(work) as session:

        async def find(number: int) -> tuple[str, str]:
            name = f"u{number}@bench.test"
            query = {"filter": f'userName eq "{name}"'}
            async with session.get(f"{work.prefix}/Users", params=query) as response:
                (resource,) = (await response.json(content_type=None))["Resources"]
                return resource["id"], name

        return [await find(number) for number in numbers]


async def _group(work: Work) -> str:
    body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Staff"}
    async with (
        _session(work) as session,
        session.post(f"{work.prefix}/Groups", json=body) as response,
    ):
        group = await response.json(content_type=None)
        return str(group.get("id", ""))


def _session(work: Work) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        f"http://{work.host}", headers={"Authorization": f"Bearer {work.token}"}
    )
