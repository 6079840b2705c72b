"""Sends bytes to a server as they are, each case on a connection of its own, and prints a line for each: its name and how it was
answered, as the statuses of all answers until the server closed or was silent for --patience seconds.

Cases come on standard input, one a line: a name, a tab, and the bytes with Python's escapes.
"""

import argparse
import re
import socket
import sys

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--patience", type=float, default=1.0)
args = parser.parse_args()

for line in sys.stdin:
    name, _, text = line.rstrip("\n").partition("\t")
    got = b""
    with socket.create_connection(("127.0.0.1", args.port), timeout=args.patience) as stream:
        try:
            stream.sendall(text.encode().decode("unicode_escape").encode("latin-1"))
            while data := stream.recv(1 << 16):
                got += data
            end = "closed"
        except TimeoutError:
            end = "silent"
        except OSError:
            end = "reset"
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)
    print(name, *(status.decode() for status in statuses), end, sep=" ")
