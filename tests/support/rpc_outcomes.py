"""Outcomes of concurrent calls."""

import asyncio

import grpc

from chassis.rpc.status import from_rpc_error


async def outcomes(*calls) -> list[str]:
    """Run calls concurrently; returns OK or the error's reason for each, sorted."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return sorted(
        from_rpc_error(result).reason if isinstance(result, grpc.aio.AioRpcError) else "OK"
        for result in results
    )
