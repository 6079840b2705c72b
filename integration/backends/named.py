"""Says its port when a client comes, and then sends back what it gets."""

import serve

args = serve.arguments()


async def session(reader, writer):
    port = writer.get_extra_info("sockname")[1]
    writer.write(f"{port}\n".encode())
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


serve.run(args, session)
