"""Run in a new network namespace (`unshare --net`): makes it ready, and keeps it until standard input ends.

The kernel remembers each closed connection for a minute, and only so many of them. In a namespace of its own, a run meets none
but its own, and what it leaves behind goes with the namespace instead of weighing on the next contestant.
"""

import fcntl
import socket
import struct
import sys
from pathlib import Path

SIOCSIFFLAGS = 0x8914
IFF_UP = 1
# More than the fastest run closes: at the limit, the kernel begins to close in another, cheaper way.
REMEMBERED = 2_000_000


def main():
    with socket.socket() as control:
        # struct ifreq: the name, the flags, and room that is not used.
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    settings = Path("/proc/sys/net")
    (settings / "ipv4/tcp_max_tw_buckets").write_text(str(REMEMBERED))
    # The next two are what guides for proxies advise. With the default range, a proxy that connects anew all the time runs out
    # of ports within seconds, and then the search for one is what is measured.
    (settings / "ipv4/ip_local_port_range").write_text("1024 65535")
    # A proxy with one listening socket for all its threads (HAProxy) needs a longer queue than the default allows, 4,096.
    (settings / "core/somaxconn").write_text("16384")
    print("{}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
