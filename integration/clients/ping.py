#!/usr/bin/env python3
"""Asks a Minecraft server for its status with mcstatus, as the game's list of servers does: ping.py PACKAGES PORT

PACKAGES is the folder that mcstatus was installed in. Prints what it says, and the version of the protocol it was asked in.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

from mcstatus import JavaServer  # noqa: E402

server = JavaServer("127.0.0.1", int(sys.argv[2]), timeout=5)
status = server.status(version=772)
print(json.dumps({"motd": status.motd.to_plain(), "protocol": status.version.protocol, "ping": server.ping() >= 0}))
