"""The faults: each breaks something and repairs it while requests continue."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tools.chaos.database_faults import (
    change_passwords,
    close_keys_database,
    end_sessions,
    kill_backends,
    limit_connections,
    lock_tables,
    make_read_only,
    make_serializable,
    set_short_timeouts,
)
from tools.chaos.pgbouncer import is_installed
from tools.chaos.region import REPLICAS, Region
from tools.chaos.wrong_settings import restart_with_mistakes

Injection = Callable[[Region, float], Awaitable[bool]]
"""Injects a fault for a number of seconds; returns whether that is possible here."""


RECOVERY_SECONDS = 5.0
"""Default time after a fault's end during which requests may still fail."""
DEADLINE_SECONDS = 10.0
"""The gateway's deadline for a call whose outcome it does not know."""
OBSERVATION_SECONDS = 0.5
LONG_SECONDS = DEADLINE_SECONDS + 5.0
"""Long enough for calls to fail at their deadline and to be repeated."""
UNREAD_SECONDS = 25.0
"""Long enough for the output of a busy process to fill its pipe."""
POOLER_SECONDS = 3.0
NAMELESS_SECONDS = 50.0
"""Long enough for the pauses of gRPC's resolver to grow to half a minute."""
CLOCK_SECONDS = 31 * 24 * 3600
"""Longer than the retention of changes."""
RETENTION_SECONDS = 65.0
"""Longer than the interval at which services delete expired rows."""
FEW_DESCRIPTORS, MANY_DESCRIPTORS = 128, 10_000
CLIENTS = 300


@dataclass(frozen=True)
class Fault:
    """A fault and its permitted effects."""

    name: str
    inject: Injection
    must_not_fail: bool = False
    """No request may fail."""
    may_drop_requests: bool = False
    """Requests may get no response, because their process was killed."""
    min_seconds: float = 0.0
    """Minimum duration in seconds; a shorter fault would have no effect."""
    recovery: float = RECOVERY_SECONDS
    """Seconds after the fault's end after which no request may fail or be slow."""


async def _kill_usersvc(region: Region, _: float) -> bool:
    await region.kill(region.usersvc)
    return True


async def _kill_keysvc(region: Region, _: float) -> bool:
    await region.kill(region.keysvc)
    return True


async def _kill_gateways(region: Region, _: float) -> bool:
    await region.kill(region.gateways)
    return True


async def _kill_one_after_the_other(region: Region, seconds: float) -> bool:
    for child in region.processes:
        await region.kill([child])
        await asyncio.sleep(seconds / len(region.processes))
    return True


async def _kill_everything(region: Region, _: float) -> bool:
    region.kill_database()
    await region.kill(region.processes)
    region.cluster.start()
    return True


async def _stop_database(region: Region, seconds: float) -> bool:
    region.cluster.stop()
    await asyncio.sleep(seconds)
    region.cluster.start()
    return True


async def _kill_database(region: Region, seconds: float) -> bool:
    region.kill_database()
    await asyncio.sleep(seconds)
    region.cluster.start()
    return True


async def _freeze_database(region: Region, seconds: float) -> bool:
    region.freeze(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    region.freeze(signal.SIGCONT)
    return True


async def _fill_disk(region: Region, seconds: float) -> bool:
    if not region.fill_disk():
        return False
    await asyncio.sleep(seconds)
    region.fill_file.unlink()
    if not region.cluster.running:
        region.cluster.start()
    return True


async def _cut_network(region: Region, seconds: float) -> bool:
    for proxy in region.proxies:
        proxy.cut = True
    await asyncio.sleep(seconds)
    for proxy in region.proxies:
        proxy.cut = False
    return True


async def _hold_network(region: Region, seconds: float) -> bool:
    """Hold the traffic of one usersvc replica: timed-out calls are repeated at the other.

    Chooses the busier replica, because all streams of the gateways may lead to the same one.
    """
    proxies = region.proxies[:REPLICAS]
    before = {proxy.host: proxy.forwarded_bytes for proxy in proxies}
    await asyncio.sleep(OBSERVATION_SECONDS)
    busier = max(proxies, key=lambda proxy: proxy.forwarded_bytes - before[proxy.host])
    busier.hold()
    await asyncio.sleep(seconds)
    busier.deliver()
    return True


async def _slow_network(region: Region, seconds: float) -> bool:
    for proxy in region.proxies:
        proxy.delay = 0.2
    await asyncio.sleep(seconds)
    for proxy in region.proxies:
        proxy.delay = 0.0
    return True


async def _promote_standby_that_was_cut_off(region: Region, seconds: float) -> bool:
    await asyncio.to_thread(region.replicated.start_standby)
    await asyncio.sleep(OBSERVATION_SECONDS)
    region.replicated.cut_off_standby()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(region.fail_over)
    return True


async def _roll(region: Region, _: float) -> bool:
    await region.roll()
    return True


async def _leave_output_unread(region: Region, seconds: float) -> bool:
    """Read the output of one replica of each service no more, as a hung log collector does."""
    unread = [replicas[0] for replicas in (region.gateways, region.usersvc, region.keysvc)]
    region.read_output(unread, reads=False)
    await asyncio.sleep(seconds)
    region.read_output(unread, reads=True)
    return True


async def _freeze_replicas(region: Region, seconds: float) -> bool:
    """Stop one replica of each service: its connections stay open and nothing responds."""
    frozen = [region.usersvc[0], region.keysvc[0]]
    for number, pause in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
        for child in frozen:
            assert child.pid is not None
            os.killpg(child.pid, number)
        await asyncio.sleep(pause)
    return True


async def _kill_database_behind_pooler(region: Region, _: float) -> bool:
    if not is_installed():
        return False
    await region.connect_through_pooler()
    return await _kill_database(region, POOLER_SECONDS)


async def _freeze_poolers(region: Region, seconds: float) -> bool:
    """Stop both PgBouncer: connections stay open and nothing responds."""
    if not is_installed():
        return False
    poolers = await region.connect_through_pooler()
    for number, pause in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
        for pooler in poolers:
            pooler.send_signal(number)
        await asyncio.sleep(pause)
    return True


async def _kill_poolers_and_database(region: Region, _: float) -> bool:
    if not is_installed():
        return False
    poolers = await region.connect_through_pooler()
    for pooler in poolers:
        pooler.kill()
    await _kill_database(region, POOLER_SECONDS)
    for pooler in poolers:
        pooler.start_again()
    return True


async def _connect_many_clients(region: Region, seconds: float) -> bool:
    """Hold many connections to gateways that start with few file descriptors."""
    if shutil.which("prlimit") is None:
        return False
    await region.limit_descriptors(FEW_DESCRIPTORS, MANY_DESCRIPTORS)
    writers = [
        (await asyncio.open_connection("127.0.0.1", gateway.port))[1]
        for gateway in region.gateways
        for _ in range(CLIENTS)
    ]
    await asyncio.sleep(seconds)
    for writer in writers:
        writer.close()
    return True


async def _set_clock_of_usersvc(region: Region, seconds: float) -> bool:
    """Set the clock of one usersvc 31 days ahead.

    It refuses all calls as late. It must not delete the changes and the refusals of the last month.
    """
    clock = await region.control_clock(region.usersvc[0])
    clock.write_text(str(CLOCK_SECONDS))
    await asyncio.sleep(seconds)
    clock.write_text("0")
    return True


async def _set_clock_of_usersvc_back(region: Region, seconds: float) -> bool:
    """Set the clock of one usersvc an hour back: it would carry out late calls."""
    clock = await region.control_clock(region.usersvc[0])
    clock.write_text("-3600")
    await asyncio.sleep(seconds)
    clock.write_text("0")
    return True


async def _renew_certificates(region: Region, seconds: float) -> bool:
    region.certificates.renew()
    await asyncio.sleep(seconds)
    return True


async def _set_clock_of_gateway(region: Region, seconds: float) -> bool:
    """Set the clock of one gateway a minute back: the services refuse all of its calls as late."""
    gateway = region.gateways[0]
    clock = await region.control_clock(gateway)
    clock.write_text("-60")
    await region.balance(gateway, ready=False)
    await asyncio.sleep(seconds)
    clock.write_text("0")
    await region.balance(gateway, ready=True)
    return True


async def _restart_with_wrong_settings(region: Region, _: float) -> bool:
    await restart_with_mistakes(region)
    return True


async def _forget_names(region: Region, seconds: float) -> bool:
    """Let names not resolve while one replica of each service restarts at its address."""
    for service in region.names:
        service.forget_name()
    await region.roll_out([region.usersvc[0], region.keysvc[0]])
    await asyncio.sleep(seconds)
    for service in region.names:
        service.publish_name()
    return True


async def _move_services_without_names(region: Region, seconds: float) -> bool:
    """Move all services to other addresses while their names do not resolve."""
    for service in region.names:
        service.forget_name()
        await service.move()
    await asyncio.sleep(seconds)
    for service in region.names:
        service.publish_name()
    return True


FAULTS = (
    Fault("usersvc killed, both replicas", _kill_usersvc),
    Fault("keysvc killed, both replicas", _kill_keysvc),
    Fault("gateways killed, both replicas", _kill_gateways, may_drop_requests=True),
    Fault("each process killed in turn", _kill_one_after_the_other, may_drop_requests=True),
    Fault("everything killed at once", _kill_everything, may_drop_requests=True),
    Fault("PostgreSQL stopped", _stop_database),
    Fault("PostgreSQL killed", _kill_database),
    Fault("PostgreSQL frozen", _freeze_database, min_seconds=LONG_SECONDS),
    Fault("PostgreSQL's disk full", _fill_disk),
    Fault("network cut between gateways and services", _cut_network, min_seconds=LONG_SECONDS),
    Fault(
        "network to one usersvc held, then released",
        _hold_network,
        min_seconds=LONG_SECONDS + 3.0,
        recovery=DEADLINE_SECONDS,
    ),
    Fault("network 200 ms slower each way", _slow_network),
    Fault(
        "standby cut off, then promoted",
        _promote_standby_that_was_cut_off,
        min_seconds=DEADLINE_SECONDS * 3.0,
    ),
    Fault(
        "output of one replica of each unread",
        _leave_output_unread,
        must_not_fail=True,
        min_seconds=UNREAD_SECONDS,
        recovery=0.0,
    ),
    Fault(
        "one usersvc and one keysvc frozen",
        _freeze_replicas,
        min_seconds=LONG_SECONDS,
        recovery=DEADLINE_SECONDS,
    ),
    Fault(
        "gateways with 128 descriptors, 300 clients",
        _connect_many_clients,
        must_not_fail=True,
        recovery=0.0,
    ),
    Fault(
        "clock of one usersvc 31 days ahead",
        _set_clock_of_usersvc,
        min_seconds=RETENTION_SECONDS,
    ),
    Fault("clock of one gateway a minute behind", _set_clock_of_gateway),
    Fault("PostgreSQL's timeouts are milliseconds", set_short_timeouts),
    Fault("PostgreSQL is read-only", make_read_only),
    Fault("all transactions serializable", make_serializable),
    Fault("all sessions ended each second", end_sessions),
    Fault("sessions killed, PostgreSQL restarts", kill_backends),
    Fault("keysvc's database closed", close_keys_database, min_seconds=60.0),
    Fault("one connection for each service", limit_connections),
    Fault("passwords changed", change_passwords),
    Fault("tables locked", lock_tables, min_seconds=LONG_SECONDS),
    Fault("certificates renewed", _renew_certificates, must_not_fail=True, recovery=0.0),
    Fault("clock of one usersvc an hour behind", _set_clock_of_usersvc_back),
    Fault(
        "restarts with wrong settings",
        _restart_with_wrong_settings,
        must_not_fail=True,
        recovery=0.0,
    ),
    Fault(
        "names do not resolve, replicas restart", _forget_names, must_not_fail=True, recovery=0.0
    ),
    Fault(
        "names do not resolve, services move",
        _move_services_without_names,
        min_seconds=NAMELESS_SECONDS,
    ),
    Fault("rolling restart of everything", _roll, must_not_fail=True, recovery=0.0),
    # The last ones: the services stay behind the pooler.
    Fault("PostgreSQL killed behind PgBouncer", _kill_database_behind_pooler),
    Fault("PgBouncer frozen", _freeze_poolers, min_seconds=LONG_SECONDS),
    Fault("PgBouncer and PostgreSQL killed", _kill_poolers_and_database),
)
