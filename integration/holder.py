"""Stands in for systemd's socket units: holds listening sockets, and starts a program with them again whenever it has ended.

usage: holder.py PIDFILE GAP_SECONDS ADDRESS... -- PROGRAM ARGUMENT...

Between two runs nobody accepts for GAP_SECONDS. The program is told of its sockets as by sd_listen_fds(3).
"""

import os
import socket
import sys
import time

FIRST = 3


def listening(address):
    host, port = address.rsplit(":", 1)
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host, int(port)))
    holder.listen(128)
    return holder


def become(program, sockets):
    # Out of the way of the numbers that are to be theirs.
    spare = [os.dup2(held.fileno(), 100 + at) for at, held in enumerate(sockets)]
    for at, number in enumerate(spare):
        os.dup2(number, FIRST + at, inheritable=True)
    os.closerange(FIRST + len(sockets), 200)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)))
    os.execvp(program[0], program)


def main():
    pid_file, gap, *rest = sys.argv[1:]
    at = rest.index("--")
    sockets, program = [listening(address) for address in rest[:at]], rest[at + 1 :]
    while True:
        pid = os.fork()
        if pid == 0:
            become(program, sockets)
        with open(pid_file + ".new", "w") as file:
            file.write(f"{pid}\n")
        os.rename(pid_file + ".new", pid_file)
        os.waitpid(pid, 0)
        time.sleep(float(gap))


main()
