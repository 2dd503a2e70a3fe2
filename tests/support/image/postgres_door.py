"""PostgreSQL's TLS, for a PostgreSQL that was built without it.

python postgres_door.py HOST:PORT CERTIFICATE KEY SOCKET

Answers the request for TLS (protocol-message-formats, SSLRequest), and hands all else over as it
is. It goes by a socket in the file system, so that it can stand in another network.
"""

import asyncio
import ssl
import sys

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


async def serve(listen: str, certificate: str, key: str, server: str) -> None:
    """Open the door until the process is ended."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    host, _, port = listen.rpartition(":")

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(8)
        if asked != SSL_REQUEST:  # whoever does not ask for TLS is not let in
            writer.close()
            return
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(context)
        inner_reader, inner_writer = await asyncio.open_unix_connection(server)
        await asyncio.gather(
            hand_over(reader, inner_writer), hand_over(inner_reader, writer), return_exceptions=True
        )

    async with await asyncio.start_server(visit, host, int(port)) as door:
        await door.serve_forever()


async def hand_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
