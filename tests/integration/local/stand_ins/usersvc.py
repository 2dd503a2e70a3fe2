"""Needs its database, listens, and can be told to fail or to stay: all a supervisor sees."""

import asyncio
import json
import os
import signal
import sys

import asyncpg


def log(entry):
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


async def migrate() -> None:
    connection = await asyncpg.connect(os.environ["USERSVC_DATABASE_URL"])
    await connection.execute("CREATE TABLE IF NOT EXISTS person (name text)")
    await connection.close()


async def serve() -> None:
    if "STAND_IN_FAILS" in os.environ:
        sys.exit("USERSVC_SOMETHING is 'x', not a number")
    if "STAND_IN_STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    host, _, port = os.environ["USERSVC_LISTEN"].rpartition(":")
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), host, int(port))
    port = server.sockets[0].getsockname()[1]
    log({"event": "listening", "address": f"{host}:{port}"})
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run({"migrate": migrate, "serve": serve}[sys.argv[1]]())
