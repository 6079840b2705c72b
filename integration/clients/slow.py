"""Clients that never finish: --sessions of them send --begin, then a byte of --drip every --pause seconds, until the server ends them.

The report says how many were ended, when the first and the last of them, from the begin of their connects, and what they were answered.
"""

import argparse
import asyncio
import collections
import json
import pathlib
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--sessions", type=int, default=1000)
parser.add_argument("--begin", default="", help="what to send first, with Python's escapes")
parser.add_argument("--drip", default="x", help="what to send byte by byte, again and again; nothing: silence")
parser.add_argument("--pause", type=float, default=0.3)
parser.add_argument("--patience", type=float, default=30.0)
parser.add_argument("--ready", required=True, help="file to make when all are connected")
args = parser.parse_args()

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
begin = args.begin.encode().decode("unicode_escape").encode("latin-1")
drip = args.drip.encode().decode("unicode_escape").encode("latin-1")
connected = 0


async def session():
    """How long it lasted, and the first line that it was answered with."""
    global connected
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
    connected += 1
    if connected == args.sessions:
        pathlib.Path(args.ready).touch()
    writer.write(begin)
    answer = asyncio.create_task(reader.read(-1))
    at = 0
    while not answer.done() and time.monotonic() < began + args.patience:
        if drip:
            writer.write(drip[at % len(drip) :][:1])
            at += 1
        await asyncio.wait([answer], timeout=args.pause)
    seconds = time.monotonic() - began
    writer.close()
    if not answer.done():
        answer.cancel()
        return seconds, "still there"
    try:
        return seconds, answer.result().decode("latin-1").partition("\r\n")[0]
    except OSError:
        return seconds, "reset"


async def main():
    ended = await asyncio.gather(*(session() for _ in range(args.sessions)))
    seconds = [taken for taken, _ in ended]
    ends = collections.Counter(end for _, end in ended)
    print(json.dumps({"first": round(min(seconds), 2), "last": round(max(seconds), 2), "ends": ends}))


asyncio.run(main())
