"""Stops one thread of a process, which no signal can: freeze.py PID THREAD-NAME. Says "frozen"; lets go when it ends.

Exits with 77 where this is not allowed (it needs the rights of a debugger).
"""

import ctypes
import os
import pathlib
import signal
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) == -1:
        print(f"a thread cannot be stopped here: {os.strerror(ctypes.get_errno())}")
        sys.exit(77)


tasks = pathlib.Path("/proc", sys.argv[1], "task").iterdir()
thread = next(int(task.name) for task in tasks if (task / "comm").read_text().strip() == sys.argv[2])
ptrace(PTRACE_SEIZE, thread)
ptrace(PTRACE_INTERRUPT, thread)
os.waitpid(thread, 0x40000000)  # __WALL: a thread is waited for too
print("frozen", flush=True)
signal.pause()
