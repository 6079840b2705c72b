"""Stands in for systemd: hears what portti tells by NOTIFY_SOCKET, and writes each datagram to standard output as a JSON object.

usage: supervisor.py SOCKET PORT

When READY=1 comes, a client connects to PORT at once, and `echoed` tells whether it was served.
"""

import json
import os
import socket
import sys
import time


def echoed(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(b"hello")
            return client.recv(5) == b"hello"
    except OSError:
        return False


def main():
    path, port = sys.argv[1], int(sys.argv[2])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path + ".new")
        # There from the start, or not at all: portti looks for it once.
        os.rename(path + ".new", path)
        while True:
            fields = dict(line.split("=", 1) for line in heard.recv(4096).decode().splitlines())
            fields["at_usec"] = time.monotonic_ns() // 1000
            if "READY" in fields:
                fields["echoed"] = echoed(port)
            print(json.dumps(fields), flush=True)


main()
