"""Clients that ask a slow backend once, all at the same time, and check that they get their own answer, whole."""

import argparse
import asyncio
import collections
import json
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--clients", type=int, default=1)
parser.add_argument("--size", type=int, default=300_000, help="of an answer: the question, repeated")
parser.add_argument("--patience", type=float, default=60.0, help="seconds for a whole answer")
args = parser.parse_args()


async def answer(question):
    """Sends the question and reads to the end; says how that went."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", args.port, limit=1 << 20)
    except OSError:
        return "connect_failed"
    got = bytearray()
    try:
        writer.write(question)
        while data := await reader.read(1 << 16):
            got += data
    except ConnectionResetError:
        return "reset"
    finally:
        writer.close()
    whole = (question * (args.size // len(question) + 1))[: args.size]
    if got == whole:
        return "whole"
    return "short" if whole.startswith(got) else "corrupt"


async def timed(number):
    started = time.monotonic()
    try:
        outcome = await asyncio.wait_for(answer(f"question {number}\n".encode()), args.patience)
    except asyncio.TimeoutError:
        outcome = "stalled"
    return outcome, time.monotonic() - started


async def main():
    results = await asyncio.gather(*(timed(number) for number in range(args.clients)))
    counts = collections.Counter(outcome for outcome, _ in results)
    seconds = [taken for _, taken in results]
    names = ["whole", "connect_failed", "reset", "short", "corrupt", "stalled"]
    report = {name: counts[name] for name in names}
    report |= {"clients": args.clients, "fastest": round(min(seconds), 2), "slowest": round(max(seconds), 2)}
    print(json.dumps(report))


asyncio.run(main())
