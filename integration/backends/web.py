"""A web server that does what its path says, and logs `begin METHOD PATH` and `end METHOD PATH` for each request.

/slow/SECONDS answers after that; /bytes/COUNT with so many bytes; /sink takes a body and says how many bytes it had, and their
hash; /status/CODE; /trailers has one of its own and tells those it got; /paused/FILE begins to read the body when FILE exists.
With --requests it closes each connection behind so many of them, without a word before.
"""

import hashlib
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import serve

args = serve.arguments(requests=0)
BLOCK = bytes(index % 251 for index in range(1 << 16))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served = 0

    def body(self):
        """The pieces of the request's body; its trailers are kept."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            left = int(self.headers.get("Content-Length", 0))
            while left:
                yield (data := self.rfile.read(min(left, 1 << 16)))
                left -= len(data)
                if not data:
                    raise ConnectionError("the body is not whole")
            return
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            yield self.rfile.read(size)
            if self.rfile.readline() != b"\r\n":
                raise ConnectionError("the body is not whole")
        while (line := self.rfile.readline()) != b"\r\n":
            if not line:
                raise ConnectionError("the body is not whole")
            self.trailers.append(line.decode().strip())

    def answer(self, body, code=200, **headers):
        self.send_response_only(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if code >= 200 and code not in (204, 304):
            self.send_header("Content-Length", len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_expect_100(self):
        self.log("expect")
        return super().handle_expect_100()

    def any(self):
        try:
            self.obey()
        except OSError as error:
            self.log(f"broken ({error})")
            self.close_connection = True

    def obey(self):
        self.log("begin")
        self.trailers = []
        _, kind, argument, *_ = self.path.split("/", 2) + [""]
        if kind == "paused":
            while not os.path.exists(argument):
                time.sleep(0.05)
        size, digest = 0, hashlib.sha256()
        for piece in self.body():
            size += len(piece)
            digest.update(piece)
        if kind == "slow":
            time.sleep(float(argument))
            self.answer(f"after {argument} s\n".encode())
        elif kind == "bytes":
            self.bytes(int(argument))
        elif kind == "status":
            self.answer(b"", int(argument), ETag='"7"')
        elif kind == "trailers":
            self.send_response_only(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Trailer", "X-Sum")
            self.end_headers()
            said = "\n".join(self.trailers).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n0\r\nX-Sum: 42\r\n\r\n" % (len(said), said))
        else:
            self.answer(f"{size} {digest.hexdigest()}\n".encode())
        self.log("end")
        self.served += 1
        if self.served == args.requests:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = any

    def bytes(self, left):
        self.send_response_only(200)
        self.send_header("Content-Length", left)
        self.end_headers()
        while left:
            left -= self.wfile.write(BLOCK[:left])

    def log(self, what):
        # In one piece: there are many threads.
        os.write(1, f"{what} {self.command} {self.path}\n".encode())

    def log_request(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """On a socket that `serve` has made."""

    daemon_threads = True

    def __init__(self, listener):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


listener = serve.listen(args)
server = Server(listener)
serve.announce(args, listener)
server.serve_forever()
