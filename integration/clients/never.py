"""Opens connections that send the beginning of something and never go on, and keeps them until SIGTERM or their end."""

import argparse
import json
import pathlib
import resource
import signal
import socket

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--sessions", type=int, required=True)
parser.add_argument("--send", required=True)
parser.add_argument("--ready", required=True, help="file to make when all are connected")
args = parser.parse_args()

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
beginning = args.send.encode().decode("unicode_escape").encode("latin-1")
sessions, refused = [], 0
for number in range(args.sessions):
    try:
        # Few addresses have enough ports for all.
        source = f"127.0.{number // 200 % 250 + 1}.{number % 200 + 1}"
        stream = socket.create_connection(("127.0.0.1", args.port), timeout=10, source_address=(source, 0))
        stream.sendall(beginning)
        sessions.append(stream)
    except OSError:
        refused += 1
pathlib.Path(args.ready).touch()
signal.sigwait([signal.SIGTERM])
print(json.dumps({"sessions": len(sessions), "refused": refused}))
