"""What is measured: each workload, and what one unit of its work is."""

from dataclasses import dataclass

IDLE_COUNTS = (1000, 4000, 8000)
# All workloads with a neighbour.
MIXED = "mixed"


@dataclass(frozen=True)
class Neighbour:
    """What a proxy has to do beside a workload, on a listener of its own."""

    # As of a Workload.
    port: str
    arguments: tuple
    tls: bool = False

    @property
    def is_bulk(self):
        return self.port in ("source", "sink")

    @property
    def rate(self):
        return "GB/s" if self.is_bulk else "connections/s"

    def throughput(self, result):
        return result["bytes_per_second"] / 1e9 if self.is_bulk else result["ops_per_second"]


@dataclass(frozen=True)
class Workload:
    name: str
    what: str
    # The backend's port that it needs: "echo", "source", "sink", "http" or "web-socket".
    port: str
    # Arguments of the load generator.
    arguments: tuple
    # Added cost is told in this unit ...
    unit: str
    # ... for so many CPU seconds.
    scale: float = 1e6
    # Throughput is told in this unit.
    rate: str = "ops/s"
    # The client sets the pace: throughput can only fall short of it.
    paced: bool = False
    # The client speaks TLS with the proxy. Beside it stands a direct connection without, and the client's own work, which is the
    # same for everyone, is left out.
    tls: bool = False
    # Who shares the proxy with it. Latency counts then; the CPU is the neighbour's, too, and so not told.
    neighbour: Neighbour | None = None

    @property
    def is_bulk(self):
        return self.port in ("source", "sink")

    @property
    def has_cost(self):
        """Whether the CPU that is used is this work's alone."""
        return not (self.is_idle or self.neighbour)

    @property
    def is_http(self):
        """Whether the proxies are to speak HTTP, instead of passing on bytes."""
        return self.port in ("http", "web-socket")

    @property
    def is_by_wrk(self):
        return self.arguments[0] == "wrk"

    @property
    def is_idle(self):
        return self.name == "idle"

    def work(self, result):
        """Units of work in a result: gigabytes for bulk transfers, else operations."""
        return result["bytes"] / 1e9 if self.is_bulk else result["ops"]

    def busy(self, result):
        """CPU seconds of a result that count."""
        return result["busy_seconds"] - (result["own_seconds"] if self.tls else 0)

    def throughput(self, result):
        return result["bytes_per_second"] / 1e9 if self.is_bulk else result["ops_per_second"]


def _ping_pong(connections, size):
    return ("ping-pong", "--connections", str(connections), "--size", str(size))


def _bulk(direction):
    return (f"bulk-{direction}", "--connections", "4")


_CYCLES = ("cps", "--connections", "64", "--size", "64")


def _mixed(name, what, neighbour):
    """A game beside something else."""
    game = ("game", "--players", "200", "--size", "128", "--rate", "20")
    what = f"200 players, each 128 bytes 20 times a second, beside {what} on another listener"
    return Workload(f"mixed_{name}", what, "echo", game, "µs/op", paced=True, neighbour=neighbour)


WORKLOADS = (
    Workload("rr1", "one connection, 64-byte ping-pong", "echo", _ping_pong(1, 64), "µs/op"),
    Workload("rr64", "64 connections, 64-byte ping-pong", "echo", _ping_pong(64, 64), "µs/op"),
    Workload("rr64x4k", "64 connections, 4 KiB ping-pong", "echo", _ping_pong(64, 4096), "µs/op"),
    Workload("tls_rr64", "`rr64` with TLS 1.3 up to the proxy", "echo", _ping_pong(64, 64), "µs/op", tls=True),
    Workload(
        "bulk_down", "4 connections, from the backend as fast as they go", "source", _bulk("down"), "CPU-s/GB", 1, "GB/s"
    ),
    Workload("bulk_up", "4 connections, to the backend as fast as they go", "sink", _bulk("up"), "CPU-s/GB", 1, "GB/s"),
    Workload(
        "cps",
        "connect, 64-byte round trip, close; 64 at a time; latency is that of the whole cycle",
        "echo",
        _CYCLES,
        "µs/connection",
        rate="connections/s",
    ),
    Workload(
        "tls_cps",
        "`cps` with TLS 1.3 up to the proxy, every handshake a whole one, certificate ECDSA P-256",
        "echo",
        _CYCLES,
        "µs/connection",
        rate="connections/s",
        tls=True,
    ),
    Workload(
        "http_rr",
        "64 connections by wrk, each one request after the other, answers of 100 bytes; proxies keep connections to the backend",
        "http",
        ("wrk", "--connections", "64"),
        "µs/request",
        rate="requests/s",
    ),
    Workload(
        "ws_rr",
        "64 WebSocket connections, 64-byte ping-pong",
        "web-socket",
        (*_ping_pong(64, 64), "--web-socket"),
        "µs/op",
    ),
    Workload(
        "game",
        "1,000 players, each 128 bytes 20 times a second, evenly spread; latency from when each message was due",
        "echo",
        ("game", "--players", "1000", "--size", "128", "--rate", "20"),
        "µs/op",
        paced=True,
    ),
    Workload(
        "idle",
        "memory per idle session: slope over {:,}, {:,} and {:,} sessions that each did one round trip".format(*IDLE_COUNTS),
        "echo",
        ("idle", "--sessions", ",".join(map(str, IDLE_COUNTS))),
        "bytes/session",
        1,
    ),
    Workload(
        "burst",
        "5,000 connections at once, until all have had a round trip; latency from each one's connect",
        "echo",
        ("burst", "--connections", "5000", "--size", "64"),
        "µs/connection",
        rate="connections/s",
    ),
    _mixed("bulk", "4 connections from the backend as fast as they go", Neighbour("source", _bulk("down"))),
    _mixed(
        "handshakes",
        "TLS handshakes, 64 at a time, every one a whole one, certificate RSA 2048,",
        Neighbour("echo", _CYCLES, tls=True),
    ),
    _mixed("flood", "a flood of connections that nobody limits, 64 at a time,", Neighbour("echo", _CYCLES)),
)


def named(names):
    """The workloads with these names, in the table's order; "mixed" is all that begin with it. Raises KeyError for a name that is
    none."""
    known = {workload.name for workload in WORKLOADS} | {MIXED}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise KeyError(f"no workload {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [workload for workload in WORKLOADS if workload.name in names or (workload.neighbour and MIXED in names)]
