"""Resets each connection after --after bytes: 0 as soon as it is accepted."""

import serve

args = serve.arguments(after=0)


async def session(reader, writer):
    if args.after:
        writer.write(await reader.readexactly(args.after))
        await writer.drain()
    serve.reset(writer)


serve.run(args, session)
