"""Reads until the client's end, then, --delay seconds later, answers with the number of bytes and their hash."""

import asyncio
import hashlib

import serve

args = serve.arguments(delay=2.0)


async def session(reader, writer):
    body = await reader.read(-1)
    await asyncio.sleep(args.delay)
    writer.write(f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode())
    await writer.drain()


serve.run(args, session)
