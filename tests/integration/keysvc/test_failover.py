"""keysvc while the synchronous standby is cut off, and after the failover to it."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc

from tests.support.databases import migrate_keysvc
from tests.support.keysvc.replicas import MovableClock, refused, running_replica
from tests.support.postgres import temporary_replicated_postgres
from tests.support.waiting import eventually


async def test_key_is_not_shown_before_the_standby_has_it(clock: MovableClock):
    with temporary_replicated_postgres() as cluster:
        url = cluster.primary.create_role_and_database("keys", "keysvc", "password")
        await asyncio.to_thread(migrate_keysvc, url)
        async with running_replica(url, clock) as keysvc:
            acme = await keysvc.create()
            shown = await keysvc.generate(acme)
            cluster.cut_off_standby()

            with refused("DATABASE_UNAVAILABLE"):
                await keysvc.generate(acme)
            with refused("DATABASE_UNAVAILABLE"):  # at once: commits are stalled
                await keysvc.revoke(shown.key)

            assert await keysvc.list(acme) == [shown.key]
            assert (await keysvc.authenticate(shown.token)).organization_id == acme
            cluster.fail_over_at_same_address()

            async def generated_key() -> Any:
                with suppress(grpc.aio.AioRpcError):
                    return await keysvc.generate(acme)

            generated = await eventually(generated_key)
            listed = {key.id for key in await keysvc.list(acme)}
            assert listed == {shown.key.id, generated.key.id}
            assert (await keysvc.authenticate(generated.token)).organization_id == acme
