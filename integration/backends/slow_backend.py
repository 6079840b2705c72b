"""Reads one line, thinks for --delay seconds, answers with that line repeated to --size bytes, and closes."""

import asyncio

import serve

args = serve.arguments(delay=3.0, size=300_000)


async def session(reader, writer):
    line = await reader.readline()
    print("asked", line, flush=True)
    await asyncio.sleep(args.delay)
    writer.write((line * (args.size // len(line) + 1))[: args.size])
    await writer.drain()


serve.run(args, session)
