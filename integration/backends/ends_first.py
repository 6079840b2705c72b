"""Greets, ends its own direction at once, and goes on reading; logs how many bytes came after that."""

import serve


async def session(reader, writer):
    writer.write(b"goodbye\n")
    writer.write_eof()
    body = await reader.read(-1)
    print("received", len(body), flush=True)


serve.run(serve.arguments(), session)
