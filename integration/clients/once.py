"""Connects from an address, sends a line, and prints what comes back: as much as was sent, or all until the end."""

import argparse
import socket
import sys

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--source", default="127.0.0.1")
parser.add_argument("--send", default="hello\n")
args = parser.parse_args()

with socket.create_connection(("127.0.0.1", args.port), timeout=10, source_address=(args.source, 0)) as stream:
    stream.sendall(args.send.encode())
    # Not every peer passes on that one side has ended, so it does not end before it has its answer.
    got = b""
    while len(got) < len(args.send.encode()) and (data := stream.recv(4096)):
        got += data
    sys.stdout.write(got.decode())
