"""Runs a command on a terminal of its own, types, and prints what the terminal got, and how the command ended.

Each key is typed when the screen has shown the text before it: terminal.py --key 'up:d' --key 'y/n:y' -- portti top
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

parser = argparse.ArgumentParser()
parser.add_argument("--key", action="append", default=[], help="TEXT:KEY, in this order")
parser.add_argument("--signal", help="such as TERM: sent when the last text has been shown; without it, the keys end the command")
parser.add_argument("--until", default="", help="the text that is waited for before the signal")
parser.add_argument("--lines", type=int, default=30)
parser.add_argument("--columns", type=int, default=110)
parser.add_argument("--patience", type=float, default=15.0, help="seconds for a text, or for the end")
parser.add_argument("command", nargs="+")
args = parser.parse_args()

pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm-256color"
    # It must be there before the command asks for it.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", args.lines, args.columns, 0, 0))
    os.execvp(args.command[0], args.command)

got = b""
open_ = True


def read(deadline):
    global got, open_
    if time.monotonic() > deadline:
        os.kill(pid, signal.SIGKILL)
        sys.exit(f"not within {args.patience} s; the terminal got:\n{got!r}")
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            got += os.read(terminal, 65536)
        except OSError:  # its other side is closed
            open_ = False


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode(errors="replace"))


def wait_for(text, since):
    deadline = time.monotonic() + args.patience
    while open_ and text not in plain(got[since:]):
        read(deadline)


since = 0
for step in args.key:
    text, _, key = step.rpartition(":")
    wait_for(text, since)
    since = len(got)
    os.write(terminal, key.encode())
if args.signal:
    wait_for(args.until, since)
    os.kill(pid, getattr(signal, "SIG" + args.signal))
deadline = time.monotonic() + args.patience
while open_:
    read(deadline)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
# The other screen, and the cursor: both must be as they were.
restored = got.rfind(b"\x1b[?1049l") > got.rfind(b"\x1b[?1049h") and got.rfind(b"\x1b[?25h") > got.rfind(b"\x1b[?25l")
print(json.dumps({"code": code, "restored": restored, "text": plain(got)}))
