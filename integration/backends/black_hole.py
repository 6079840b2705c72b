"""A listener with a full backlog that never accepts: a connect to it neither succeeds nor fails."""

import signal
import socket
import time

import serve

args = serve.arguments()
listener = serve.listen(args, backlog=0)

# The kernel keeps one or two connections more than the backlog says; the further ones make sure that it is full.
fillers = []
for _ in range(8):
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(listener.getsockname())
    fillers.append(filler)
time.sleep(0.1)  # so that the kernel has taken in what it will

serve.announce(args, listener)
signal.pause()
