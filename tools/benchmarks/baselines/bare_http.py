"""A lower bound: an aiohttp server that answers every GET with the same bytes.

`python -m tools.benchmarks.baselines.bare_http PORT FILE` answers with the content of the file.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from deploy.local.ports import free_port
from tests.support.stack import ROOT
from tools.benchmarks.service import Region
from tools.benchmarks.started import running, wait_until_listening
from tools.benchmarks.subjects import Server


@asynccontextmanager
async def bare_http(region: Region, folder: Path) -> AsyncIterator[Server]:
    """A server that always returns one response of the service to GET of a user."""
    work, response, port = region.server.work, folder / "response.json", free_port()
    url = f"{region.stack.url}/Users/{work.people[0][0]}"
    headers = {"Authorization": f"Bearer {work.token}"}
    async with aiohttp.request("GET", url, headers=headers) as original:
        response.write_bytes(await original.read())
    one_user = work.at(f"127.0.0.1:{port}")
    one_user.people = work.people[:1]
    command = (
        sys.executable,
        "-m",
        "tools.benchmarks.baselines.bare_http",
        str(port),
        str(response),
    )
    with running(command, ROOT, {"PYTHONPATH": f"{ROOT}:{ROOT / 'build'}"}) as process:
        await wait_until_listening(process, port)
        yield Server("aiohttp", ("127.0.0.1", port), one_user, [process.pid], ["get"])


async def _serve(port: int, body: bytes) -> None:
    async def response(_: web.BaseRequest) -> web.Response:
        return web.Response(body=body, content_type="application/scim+json")

    runner = web.ServerRunner(web.Server(response, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
