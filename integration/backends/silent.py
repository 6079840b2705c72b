"""Accepts and reads, and never says a word: a process that hangs after accept."""

import serve


async def session(reader, writer):
    while await reader.read(1 << 16):
        pass


serve.run(serve.arguments(), session)
