"""Downloads --clients times at once, reads nothing until a file exists, then all of it: how many bytes each got, and whose hash."""

import argparse
import hashlib
import json
import os
import pathlib
import socket
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("path")
parser.add_argument("--clients", type=int, default=1)
parser.add_argument("--ready", required=True, help="file to make when all have asked")
parser.add_argument("--until", required=True, help="the file that is waited for")
args = parser.parse_args()

downloads = [socket.create_connection(("127.0.0.1", args.port), timeout=30) for _ in range(args.clients)]
for download in downloads:
    download.sendall(f"GET {args.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
pathlib.Path(args.ready).touch()
while not os.path.exists(args.until):
    time.sleep(0.05)
report = []
for download in downloads:
    size, digest = 0, hashlib.sha256()
    with download.makefile("rb") as answer:
        while answer.readline() != b"\r\n":
            pass
        while data := answer.read(1 << 16):
            size += len(data)
            digest.update(data)
    report.append(f"{size} {digest.hexdigest()}")
print(json.dumps({"bodies": report}))
