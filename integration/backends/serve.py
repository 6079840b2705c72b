"""What the backends share: the command line, the port file, and the accept loop."""

import argparse
import asyncio
import os
import socket


BACKLOG = 4096  # clients that may wait to be accepted


def arguments(**options):
    """Parses the options every backend has, and those of one: name=default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the kernel chooses")
    parser.add_argument("--port-file", required=True, help="where to write the port")
    for name, default in options.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    return parser.parse_args()


def listen(args, backlog=BACKLOG):
    """Binds and listens; a backend that was killed can come back on its port at once."""
    listener = socket.socket(socket.AF_INET6 if ":" in args.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((args.host, args.port))
    listener.listen(backlog)
    return listener


def announce(args, listener):
    """Writes the port file in one step, so that a reader never sees half of it."""
    draft = args.port_file + ".new"
    with open(draft, "w", encoding="ascii") as file:
        file.write(str(listener.getsockname()[1]))
    os.rename(draft, args.port_file)


def run(args, session):
    """Serves each client with `session(reader, writer)` until the process is killed."""

    async def guarded(reader, writer):
        try:
            await session(reader, writer)
        except OSError:
            pass  # The client went away: what the test wanted, or what its client will report.
        finally:
            writer.close()

    async def main():
        listener = listen(args)
        # It listens once more; without a number for 100.
        server = await asyncio.start_server(guarded, sock=listener, limit=1 << 20, backlog=BACKLOG)
        announce(args, listener)
        await server.serve_forever()

    asyncio.run(main())


def reset(writer):
    """Closes with a RST instead of a FIN."""
    linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    writer.transport.abort()
