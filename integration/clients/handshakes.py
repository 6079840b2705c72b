"""Connects by TLS again and again, checks the certificate and an echo, until SIGTERM; then says how often that went well."""

import argparse
import json
import pathlib
import signal
import socket
import ssl
import sys

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("ca")
parser.add_argument("host")
parser.add_argument("--ready", required=True, help="file to make after the first")
args = parser.parse_args()

ended = False


def end(*_):
    global ended
    ended = True


signal.signal(signal.SIGTERM, end)
context = ssl.create_default_context(cafile=args.ca)
counts = {"done": 0, "failed": 0}
while not ended:
    try:
        with socket.create_connection(("127.0.0.1", args.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=args.host) as stream:
                stream.sendall(b"hello")
                assert stream.recv(5) == b"hello"
        counts["done"] += 1
    except (OSError, AssertionError) as error:
        print(error, file=sys.stderr)
        counts["failed"] += 1
    pathlib.Path(args.ready).touch()
print(json.dumps(counts))
