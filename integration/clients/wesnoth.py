"""Two Wesnoth players who log in and chat, with the game's own protocol.

A client begins with four zero bytes (no TLS), the server answers with four bytes, and from then on both send packets: a
length in four bytes, and that much gzip with text in the game's markup. The players chat once, touch --ready, wait until
--again exists, chat on the same connections again, and print a report.
"""

import argparse
import gzip
import json
import os
import pathlib
import socket
import struct
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--ready", required=True)
parser.add_argument("--again", required=True)
args = parser.parse_args()


class Player:
    def __init__(self, name):
        self.name = name
        self.socket = socket.create_connection(("127.0.0.1", args.port), timeout=20)
        self.socket.sendall(bytes(4))
        self.number = self.exactly(4)
        self.seen = [self.packet()]
        self.send('[version]\nversion="1.16.9"\n[/version]\n')
        self.until("[mustlogin]")
        self.send(f'[login]\nusername="{name}"\n[/login]\n')
        self.until("[join_lobby]")

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError(f"the server ended {self.name}'s connection")
            data += more
        return data

    def packet(self):
        (size,) = struct.unpack(">I", self.exactly(4))
        return gzip.decompress(self.exactly(size)).decode()

    def until(self, text):
        while text not in self.seen[-1]:
            self.seen.append(self.packet())

    def send(self, text):
        data = gzip.compress(text.encode())
        self.socket.sendall(struct.pack(">I", len(data)) + data)

    def say(self, text):
        self.send(f'[message]\nmessage="{text}"\nroom="lobby"\nsender="{self.name}"\n[/message]\n')

    def leave(self):
        """Takes in what is still on its way: closing with bytes unread would be a reset."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(1 << 16):
            pass


def wait_for(path):
    deadline = time.monotonic() + 60
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.05)


alice, bob = Player("alice"), Player("bob")
alice.say("good morning")
bob.until("good morning")
pathlib.Path(args.ready).touch()
wait_for(args.again)
bob.say("good evening")
alice.until("good evening")
alice.leave()
bob.leave()
print(json.dumps({"first_packet": alice.seen[0], "heard": [bob.seen[-1], alice.seen[-1]]}))
