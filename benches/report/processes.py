"""Starting programs on the measured CPUs, and ending them all, whatever happens."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from . import namespace

# How long a namespace, or a program that ought to serve, may take.
START_PATIENCE = 20.0


class Failed(Exception):
    """A program did not do what it was started for."""


class Crew:
    """The programs of one measurement. Leaving the `with` block kills every one, with its children."""

    def __init__(self, machine, directory, apart):
        """With `apart`, they have a network namespace of their own."""
        self.prefix = ["taskset", "-c", machine.cpu_list]
        self.directory = directory
        self.apart = apart
        self.members = []
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        if self.apart:
            try:
                self._move_apart()
            except BaseException:
                # Leaving a block that was never entered is nobody else's task.
                self.__exit__()
                raise
        return self

    def _move_apart(self):
        keeper = self.start("namespace", ["unshare", "--net", sys.executable, namespace.__file__], pipes=True)
        self.answer("namespace", keeper, START_PATIENCE)
        self.prefix = ["nsenter", f"--net=/proc/{keeper.pid}/ns/net", *self.prefix]

    def __exit__(self, *_):
        for process, log in self.members:
            # A session of its own makes the group: what the program has forked goes too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, log):
                if pipe:
                    pipe.close()

    def start(self, name, command, environment=None, pipes=False):
        """Starts a program on the measured CPUs; what it says on standard error goes to a file."""
        log = open(self.directory / f"{name}.log", "wb")
        process = subprocess.Popen(
            [*self.prefix, *map(str, command)],
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else log,
            stderr=log,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            text=True,
        )
        self.members.append((process, log))
        return process

    def said(self, name):
        """The end of what a program has said on standard error."""
        return (self.directory / f"{name}.log").read_text(errors="replace").strip()[-500:]

    def answer(self, name, process, patience):
        """The next line of JSON that a program prints."""
        line = _read_line(process, patience)
        if not line:
            raise Failed(f"the {name} gave no result within {patience:.0f} s: {self.said(name)}")
        return json.loads(line)


def _read_line(process, patience):
    # An alarm is the plain way to bound a blocking read from a pipe.
    previous = signal.signal(signal.SIGALRM, _too_late)
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        return process.stdout.readline()
    except TimeoutError:
        return ""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _too_late(*_):
    raise TimeoutError


def free_port():
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def can_be_apart():
    """Whether this process may make network namespaces: root may, on most machines."""
    try:
        return subprocess.run(["unshare", "--net", "nsenter", "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def memory(leader):
    """Bytes of memory of a program and all it has forked: proportional set size, so that shared pages count once."""
    return sum(map(_proportional_set_size, _group(leader)))


def _group(leader):
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                # After the name, which may hold spaces, come the state, the parent and the group.
                group = (directory / "stat").read_text().rpartition(")")[2].split()[2]
            except OSError:
                continue
            if int(group) == leader:
                yield directory


def _proportional_set_size(directory):
    for line in (directory / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
