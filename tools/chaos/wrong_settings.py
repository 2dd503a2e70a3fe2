"""Restarts of replicas with wrong settings, which every process must refuse."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

import asyncpg

from deploy.local.processes.child import START_SECONDS, Child, ChildFailedError
from tests.support.chassis.authorities import Authority
from tests.support.service_processes import tls_settings
from tools.chaos.certificates import SERVICES
from tools.chaos.region import Region


@dataclass(frozen=True)
class Mistake:
    """Wrong settings of a process, and a part of the line with which it must refuse them."""

    settings: Mapping[str, str]
    reason: str


async def restart_with_mistakes(region: Region) -> None:
    """Try to restart one replica of each component with each mistake, then start it correctly.

    Meanwhile the other replica serves all requests. A process that starts, or ends with another
    reason, is a violation.
    """
    for service in SERVICES:
        mistakes = await _mistakes_of_service(region, service)
        await _restart_with_mistakes(region, region.replicas(service)[0], mistakes)
    await _restart_with_mistakes(region, region.gateways[0], _mistakes_of_gateway(region))


async def _restart_with_mistakes(
    region: Region, child: Child, mistakes: Mapping[str, Mistake]
) -> None:
    async with region.out_of_service(child):
        for name, mistake in mistakes.items():
            if not await _is_refused(region, child, mistake):
                region.violations[f"{child.name} does not refuse {name}"] += 1


async def _is_refused(region: Region, child: Child, mistake: Mistake) -> bool:
    program = child.program
    environment = {**program.environment, **mistake.settings}
    wrong = Child(replace(program, environment=environment))
    try:
        async with asyncio.timeout(START_SECONDS):
            await wrong.run_to_end(*region.arguments(child))
    except ChildFailedError as error:
        return mistake.reason in error.tail
    except TimeoutError:
        await wrong.stop(asyncio.Event())
    return False


async def _mistakes_of_service(region: Region, service: str) -> Mapping[str, Mistake]:
    prefix = service.upper()
    (other,) = set(SERVICES) - {service}
    others = region.replicas(other)[0].program.environment[f"{other.upper()}_DATABASE_URL"]
    empty = await _new_database(region)
    older, copy = [await _migrated_database(region, service) for _ in range(2)]
    last = await _forget_last_migration(older)
    url = f"{prefix}_DATABASE_URL"
    return {
        "an empty database": Mistake({url: empty}, "has no schema"),
        "the other service's database": Mistake({url: others}, f"belongs to {other}"),
        "an older schema": Mistake({url: older}, f"lacks {last}"),
        "another region": Mistake({f"{prefix}_REGION": "eu"}, "has the data of region us"),
        "another database for LISTEN": Mistake(
            {f"{prefix}_DATABASE_LISTEN_URL": copy}, "lead to different databases"
        ),
    }


async def _new_database(region: Region) -> str:
    name = f"mistake_{secrets.token_hex(4)}"
    return await asyncio.to_thread(
        region.cluster.create_role_and_database, name, name, secrets.token_urlsafe(16)
    )


async def _migrated_database(region: Region, service: str) -> str:
    """The URL of a new database with the newest schema."""
    url = await _new_database(region)
    program = region.replicas(service)[0].program
    environment = {**program.environment, f"{service.upper()}_DATABASE_URL": url}
    await Child(replace(program, environment=environment)).run_to_end("migrate")
    return url


async def _forget_last_migration(url: str) -> str:
    """Make the schema look like that of the previous release. Returns the migration's name."""
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(_DELETE_LAST_MIGRATION))
    finally:
        await connection.close()


def _mistakes_of_gateway(region: Region) -> Mapping[str, Mistake]:
    users, keys = (service.target for service in region.names)
    folder = region.disk.with_name("mistakes")
    folder.mkdir(exist_ok=True)
    stranger = Authority("stranger").issue(folder / "stranger", "gateway")
    billing = region.certificates.authority.issue(folder / "billing", "billing")
    return {
        "swapped targets": Mistake(
            {"GATEWAY_USERSVC": keys, "GATEWAY_KEYSVC": users}, "leads to keysvc: correct it"
        ),
        "one target for both services": Mistake(
            {"GATEWAY_KEYSVC": users}, "leads to usersvc: correct it"
        ),
        "another region": Mistake({"GATEWAY_REGION": "eu"}, "but GATEWAY_REGION is eu"),
        "a certificate of another authority": Mistake(
            tls_settings("gateway", stranger), "has a certificate of another authority"
        ),
        "a certificate of another caller": Mistake(
            tls_settings("gateway", billing), "does not admit this gateway"
        ),
    }


_DELETE_LAST_MIGRATION = """
    DELETE FROM schema_migration
     WHERE version = (SELECT max(version) FROM schema_migration)
    RETURNING name
"""
