"""A TLS proxy for a PostgreSQL that was built without TLS.

python postgres_tls_proxy.py HOST:PORT CERTIFICATE KEY SOCKET

It answers SSLRequest (protocol-message-formats) and forwards all other bytes unchanged. It connects
to the server by a Unix socket, so it can run in another network namespace.
"""

import asyncio
import ssl
import sys

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


async def serve(listen: str, certificate: str, key: str, server: str) -> None:
    """Serve until the process ends."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    host, _, port = listen.rpartition(":")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(8)
        if request != SSL_REQUEST:  # reject connections without TLS
            writer.close()
            return
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(context)
        server_reader, server_writer = await asyncio.open_unix_connection(server)
        await asyncio.gather(
            forward(reader, server_writer), forward(server_reader, writer), return_exceptions=True
        )

    async with await asyncio.start_server(handle, host, int(port)) as listener:
        await listener.serve_forever()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
