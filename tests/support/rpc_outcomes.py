"""What became of calls that ran at the same time."""

import asyncio

import grpc

from chassis.rpc.status import from_rpc_error


async def outcomes(*calls) -> list[str]:
    """OK or the reason, sorted, for calls that run at once."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return sorted(
        from_rpc_error(result).reason if isinstance(result, grpc.aio.AioRpcError) else "OK"
        for result in results
    )
