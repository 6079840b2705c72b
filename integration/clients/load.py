"""Sessions with an echo server, all at once; each checks that it gets its own bytes back.

A session exchanges one block, pauses, and goes on until --rounds are done or the program gets SIGTERM. With --churn it
closes after one round and a new one takes its place. The report counts what went wrong, by kind.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import os
import signal

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--sessions", type=int, default=10, help="open at the same time")
parser.add_argument("--rounds", type=int, default=0, help="per session; 0: until SIGTERM")
parser.add_argument("--churn", action="store_true", help="a new session for every round")
parser.add_argument("--bytes", type=int, default=64, help="of one block")
parser.add_argument("--pause", type=float, default=0.1, help="seconds between two rounds")
parser.add_argument("--patience", type=float, default=10.0, help="seconds for a connect or a round")
parser.add_argument("--progress", help="file that always holds the newest figures")
args = parser.parse_args()

FAILURES = ["connect_failed", "reset", "closed", "corrupt", "stalled"]
counts = collections.Counter()
opened = 0  # sessions started
answered = set()  # sessions that have had an answer and are open
stop = asyncio.Event()


def block(session, number):
    """Bytes that no other session and no other round has."""
    seed = hashlib.sha256(f"{os.getpid()} {session} {number}".encode()).digest()
    return (seed * (args.bytes // len(seed) + 1))[: args.bytes]


async def exchange(reader, writer, session, number):
    sent = block(session, number)
    writer.write(sent)
    got = await asyncio.wait_for(reader.readexactly(len(sent)), args.patience)
    if got != sent:
        raise ValueError("these are not the bytes that were sent")
    counts["rounds"] += 1


async def pause():
    try:
        await asyncio.wait_for(stop.wait(), args.pause)
    except asyncio.TimeoutError:
        pass


async def rounds(session):
    """All rounds of one session, from connect to close."""
    connected = asyncio.open_connection("127.0.0.1", args.port, limit=1 << 20)
    try:
        reader, writer = await asyncio.wait_for(connected, args.patience)
    except (OSError, asyncio.TimeoutError) as error:
        raise ConnectionRefusedError from error
    try:
        number = 0
        while number == 0 or not stop.is_set():
            await exchange(reader, writer, session, number)
            answered.add(session)
            number += 1
            if args.churn or number == args.rounds:
                break
            await pause()
    finally:
        writer.close()


async def outcome(session):
    """The word for how a session went."""
    try:
        await rounds(session)
        return "completed"
    except asyncio.CancelledError:
        return "stalled" if session in answered else "waiting"
    except ConnectionRefusedError:
        return "connect_failed"
    except asyncio.IncompleteReadError:
        return "closed"
    except asyncio.TimeoutError:
        return "stalled"
    except ValueError:
        return "corrupt"
    except OSError:
        return "reset"


async def place():
    """One session, or with --churn one after the other."""
    global opened
    done = 0
    while True:
        opened += 1
        session = opened
        counts[await outcome(session)] += 1
        answered.discard(session)
        done += 1
        if not args.churn or stop.is_set() or done == args.rounds:
            return
        await pause()


def figures():
    failed = sum(counts[name] for name in FAILURES)
    names = ["completed", "rounds", "waiting", *FAILURES]
    return {"sessions": opened, "open": len(answered), "failed": failed} | {name: counts[name] for name in names}


def write_progress():
    """Replaces the file in one step, so that a reader never sees half of it."""
    if args.progress:
        with open(args.progress + ".new", "w", encoding="ascii") as file:
            json.dump(figures(), file)
        os.rename(args.progress + ".new", args.progress)


async def keep_progress():
    while True:
        write_progress()
        await asyncio.sleep(0.1)


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    progress = asyncio.create_task(keep_progress())
    places = [asyncio.create_task(place()) for _ in range(args.sessions)]
    everyone = asyncio.gather(*places)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([everyone, stopped], return_when=asyncio.FIRST_COMPLETED)
    # Told to stop: a session in the middle of a round may finish it, but one that nobody serves would wait for ever.
    _, unfinished = await asyncio.wait(places, timeout=3)
    for task in unfinished:
        task.cancel()
    await everyone
    progress.cancel()
    write_progress()
    # The event loop gives the signal its deadly meaning back when it closes; from here on it would kill the report.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print(json.dumps(figures()))


asyncio.run(main())
