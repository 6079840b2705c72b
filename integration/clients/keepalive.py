"""HTTP clients with persistent connections, until SIGTERM: each asks, reads the whole answer, pauses and asks again.

A connection is used again unless the answer said that it closes, or it is seen to be closed (RFC 9112, 9.3 and 9.6). No request is
sent a second time: one without a whole answer of 200 is a failure, and the report says what became of it and when.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--clients", type=int, default=100)
parser.add_argument("--pause", type=float, default=0.02, help="seconds between two requests, about")
parser.add_argument("--requests", type=int, default=0, help="on one connection, about; 0: as many as it takes")
parser.add_argument("--path", default="/")
parser.add_argument("--progress", help="file that always holds how many requests were answered")
args = parser.parse_args()

HEAD = f"GET {args.path} HTTP/1.1\r\nHost: 127.0.0.1:{args.port}\r\n\r\n".encode()
counts = collections.Counter()
failures = []
stop = asyncio.Event()


class Failed(Exception):
    """Something was sent, and no whole answer came."""


class Refused(Failed):
    """There is no connection; nothing was sent."""


async def connect():
    try:
        return await asyncio.open_connection("127.0.0.1", args.port)
    except OSError as error:
        raise Refused(f"connect: {error!r}") from error


async def ask(reader, writer):
    """Whether the connection may be used again."""
    got = b""
    try:
        writer.write(HEAD)
        got = await reader.readuntil(b"\r\n\r\n")
        head = got.decode("latin-1").lower()
        if not head.startswith("http/1.1 200 "):
            raise Failed(head.splitlines()[0])
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        got += await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise Failed(f"closed after {len(got) + len(error.partial)} bytes of the answer") from error
    except OSError as error:
        raise Failed(f"{type(error).__name__} after {len(got)} bytes of the answer") from error
    return "\r\nconnection: close" not in head


async def client():
    connection, uses = None, 0
    while not stop.is_set():
        if connection and (connection[0].at_eof() or connection[0].exception()):
            connection[1].close()
            connection = None
            counts["closed_while_idle"] += 1
        try:
            if not connection:
                connection, uses = await connect(), 0
                counts["connections"] += 1
            uses += 1
            stays = await ask(*connection)
            counts["answered"] += 1
        except Failed as error:
            counts["refused"] += isinstance(error, Refused)
            failures.append({"at": round(time.time(), 4), "use": uses, "error": str(error)})
            stays = False
        if args.requests and random.random() < 1 / args.requests:
            stays = False
        if not stays and connection:
            connection[1].close()
            connection = None
        await asyncio.sleep(args.pause * 2 * random.random())
    if connection:
        connection[1].close()


async def tell():
    while args.progress:
        with open(args.progress + ".new", "w", encoding="ascii") as file:
            file.write(str(counts["answered"]))
        os.rename(args.progress + ".new", args.progress)
        await asyncio.sleep(0.05)


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    telling = asyncio.create_task(tell())
    await asyncio.gather(*(client() for _ in range(args.clients)))
    telling.cancel()
    failures.sort(key=lambda failure: failure["at"])
    print(json.dumps({"refused": 0, **counts, "failed": len(failures), "failures": failures[:50]}))


asyncio.run(main())
