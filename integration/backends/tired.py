"""An echo server that hangs for newcomers from SIGUSR1 on: they are accepted, and hear nothing. Those who play, play on."""

import signal

import serve

is_tired = False


def tire(*_):
    global is_tired
    is_tired = True


async def session(reader, writer):
    hears_nothing = is_tired
    while data := await reader.read(1 << 16):
        if not hears_nothing:
            writer.write(data)
            await writer.drain()


signal.signal(signal.SIGUSR1, tire)
serve.run(serve.arguments(), session)
