"""Connects --sessions times, reads nothing, and keeps the connections until SIGTERM."""

import argparse
import json
import pathlib
import signal
import socket

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--sessions", type=int, default=1)
parser.add_argument("--ready", required=True, help="file to make when all are connected")
args = parser.parse_args()

# Blocked, so that sigwait takes it instead of its default action.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sessions = [socket.create_connection(("127.0.0.1", args.port)) for _ in range(args.sessions)]
pathlib.Path(args.ready).touch()
signal.sigwait([signal.SIGTERM])
print(json.dumps({"sessions": len(sessions)}))
