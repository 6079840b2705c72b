"""One session, step by step: says something, perhaps ends its direction, reads, and tells how it ended and when."""

import argparse
import hashlib
import json
import socket
import struct
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--send", default="", help="text to send first")
parser.add_argument("--send-bytes", type=int, default=0, help="so many further bytes")
parser.add_argument("--half-close", action="store_true", help="end the own direction after sending")
parser.add_argument("--read-first", action="store_true", help="read to the end before sending")
parser.add_argument("--until", type=int, help="close after so many bytes; without it, read to the end")
parser.add_argument("--reset", action="store_true", help="close with a RST")
parser.add_argument("--patience", type=float, default=60.0, help="seconds of silence before giving up")
args = parser.parse_args()

started = time.monotonic()
session = socket.socket()
session.settimeout(args.patience)
sent = args.send.encode() + bytes(index % 251 for index in range(args.send_bytes))
received = bytearray()
report = {}


def read():
    """Reads to the end, or as far as wanted; returns the word for what ended it."""
    while args.until is None or len(received) < args.until:
        data = session.recv(1 << 16)
        if not data:
            return "eof"
        received.extend(data)
    return "own"


def talk():
    session.connect(("127.0.0.1", args.port))
    report["local"] = "%s:%d" % session.getsockname()
    if args.read_first:
        end = read()
        session.sendall(sent)
        return end
    session.sendall(sent)
    if args.half_close:
        session.shutdown(socket.SHUT_WR)
    return read()


try:
    report["end"] = talk()
except ConnectionRefusedError:
    report["end"] = "refused"
except (ConnectionResetError, BrokenPipeError):
    report["end"] = "reset"
except TimeoutError:
    report["end"] = "silence"

if args.reset:
    session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
session.close()
report["seconds"] = round(time.monotonic() - started, 2)
report["received"] = received[:200].decode(errors="replace")
report["received_bytes"] = len(received)
report["sent_sha256"] = hashlib.sha256(sent).hexdigest()
print(json.dumps(report))
