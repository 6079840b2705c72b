"""Sessions with servers that say who they are, for a while; the report has each that failed, with when and where.

A session learns its server's name, exchanges a few blocks over a random time, and closes. A new one takes its place.
"""

import argparse
import asyncio
import collections
import json
import random
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--sessions", type=int, default=40, help="open at the same time")
parser.add_argument("--seconds", type=float, default=60)
args = parser.parse_args()

PATIENCE = 15
by_server = collections.Counter()
completed = 0
failures = []
sent = received = 0


def now_ms():
    return int(time.time() * 1000)


async def session():
    """The server, and what went wrong with it; both None where nothing was or did."""
    global sent, received
    server, began = None, now_ms()
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", args.port), PATIENCE)
        name = await asyncio.wait_for(reader.readline(), PATIENCE)
        received += len(name)
        if not name.endswith(b"\n"):
            raise EOFError("closed before the name")
        server = int(name)
        by_server[server] += 1
        for number in range(random.randrange(1, 12)):
            block = random.randbytes(random.randrange(1, 3000))
            writer.write(block)
            await writer.drain()
            sent += len(block)
            answer = await asyncio.wait_for(reader.readexactly(len(block)), PATIENCE)
            received += len(answer)
            if answer != block:
                raise ValueError(f"these are not the bytes that were sent in round {number}")
            await asyncio.sleep(random.random() * 0.3)
        if reader.at_eof() or reader.exception():
            raise EOFError("closed while it was quiet")
        return None
    except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
        return {"server": server, "began": began, "ended": now_ms(), "error": repr(error)}
    finally:
        if writer:
            writer.close()


async def place(end):
    global completed
    while time.monotonic() < end:
        failure = await session()
        if failure:
            failures.append(failure)
        else:
            completed += 1


async def main():
    end = time.monotonic() + args.seconds
    await asyncio.gather(*(place(end) for _ in range(args.sessions)))
    # What is still being closed on the way.
    await asyncio.sleep(0.2)
    print(json.dumps({
        "sessions": completed + len(failures),
        "completed": completed,
        "failures": failures,
        "by_server": by_server,
        "sent": sent,
        "received": received,
    }))


asyncio.run(main())
