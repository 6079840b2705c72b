"""Sends bytes as fast as the client takes them, without end."""

import serve

BLOCK = b"x" * (1 << 16)


async def session(_reader, writer):
    while True:
        writer.write(BLOCK)
        await writer.drain()


serve.run(serve.arguments(), session)
