"""Sends back what it gets, and ends when the client does."""

import serve


async def session(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


serve.run(serve.arguments(), session)
