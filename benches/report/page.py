"""docs/benchmarks.md: what was measured, how, on what, and which marks are met."""

from dataclasses import dataclass

from . import summary, workloads

BEGIN = "<!-- Written by scripts/bench. Notes go below the end mark; they are kept. -->"
END = "<!-- End of what scripts/bench writes. -->"

# Bytes for an idle session that portti may take at most.
MEMORY_MARK = 1500


_APART = (
    "in a network namespace of its own, so that no run meets the closed connections of another; it allows more ports and "
    "longer listen queues than Linux does by default ([namespace.py](../benches/report/namespace.py))"
)
_TOGETHER = (
    "but not a network namespace of its own, for want of the right to make one (root has it): closed connections that the "
    "kernel still remembers from one run may weigh on the next"
)


@dataclass(frozen=True)
class About:
    """All that a reader must know to judge the numbers, or to repeat them."""

    machine: object
    versions: tuple
    left_out: tuple
    rounds: int
    seconds: float
    date: str
    command: str
    plot: str
    is_quick: bool
    # Whether each run had a network namespace of its own.
    apart: bool


def write(path, about, tables):
    """Puts the page's measured part in place; what somebody wrote below it stays. `tables` is [(workload, lines)]."""
    measured = "\n".join([BEGIN, *_page(about, tables), END])
    notes = ""
    if path.exists():
        _, mark, notes = path.read_text().partition(END)
        notes = notes if mark else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(measured + (notes or "\n"))


def _page(about, tables):
    yield "# Benchmarks\n"
    yield from _warnings(about)
    yield (
        "portti and its peers on the same work, in one run, on one machine. **Added cost** is the measure to trust: the CPU "
        "time of the whole machine for one unit of work, less that of a direct connection. It counts what the kernel does on "
        "a proxy's behalf too. Absolute figures move from machine to machine and from day to day; compare within one run.\n"
    )
    yield f"![Added cost relative to the best peer]({about.plot})\n"
    yield from _marks(tables)
    yield "## Results\n"
    yield (
        "Medians of all rounds, lowest and highest in brackets. *Of best peer* is the added cost in proportion to that of the "
        "peer with the lowest; below 1 is better than every peer. Latencies are in microseconds.\n"
    )
    for workload, lines in tables:
        yield from _table(workload, lines)
    yield from _method(about)


def _warnings(about):
    if about.is_quick:
        yield "> **A smoke run.** Too short to compare anything by: it shows that the benchmark works.\n"
    if not about.machine.is_quiet:
        yield (
            f"> **The machine was not quiet**: before the run, other programs took {about.machine.foreign:.0%} of the CPUs "
            "that were measured. Their work counts in these figures.\n"
        )


def _marks(tables):
    verdicts = {workload: summary.verdicts(workload, lines) for workload, lines in tables if not workload.is_idle}
    yield "## Marks\n"
    yield "1. On every workload, added cost at or below the best peer's, throughput at or above it, p99 at or below it."
    yield f"2. At most {MEMORY_MARK:,} bytes of memory for an idle session.\n"
    yield "Each cell is portti in proportion to the best peer by that measure, whose name stands beside it.\n"
    yield "| workload | added cost | throughput | p99 | |\n|---|---|---|---|---|"
    for workload, found in verdicts.items():
        cells = [_verdict(found, measure) for measure, _, _ in summary.MEASURES]
        met = "met" if found and all(verdict.met for verdict in found) else "**not met**"
        yield f"| `{workload.name}` | {' | '.join(cells)} | {met if found else 'not measured'} |"
    yield ""
    yield from _memory_mark(tables)


def _verdict(found, measure):
    verdict = next((verdict for verdict in found if verdict.measure == measure), None)
    if verdict is None:
        return "–"
    share = f"{verdict.ratio:.2f}" if verdict.ratio is not None else f"{verdict.portti:.1f} to {verdict.best:.1f}"
    return f"{share if verdict.met else f'**{share}**'} of {verdict.peer}"


def _memory_mark(tables):
    for workload, lines in tables:
        for line in lines:
            if workload.is_idle and line.contestant == "portti" and line.added:
                size = line.added.median
                met = "met" if size <= MEMORY_MARK else f"**not met**, by {size - MEMORY_MARK:,.0f} bytes"
                yield f"Memory for an idle session: {size:,.0f} bytes: {met}.\n"


def _table(workload, lines):
    yield f"### `{workload.name}`\n"
    yield f"{workload.what[0].upper()}{workload.what[1:]}.\n"
    yield from (_memory_table(lines) if workload.is_idle else _cost_table(workload, lines))
    if workload.neighbour:
        done = ", ".join(f"{line.contestant} {_spread(line.neighbour, 2 if workload.neighbour.is_bulk else 0)}" for line in lines)
        yield f"\nThe neighbour's own {workload.neighbour.rate}: {done}."
    for line in lines:
        if line.late:
            yield f"\nThe client itself was late with {line.late:,} messages of {line.contestant}'s rounds."
        for failure in dict.fromkeys(line.failures):
            yield f"\n{line.contestant}: no result in {line.failures.count(failure)} rounds: {failure}"
    yield ""


def _memory_table(lines):
    best = summary.best_peer(lines)
    yield "| | bytes for a session | of best peer | errors |\n|---|---|---|---|"
    for line in lines:
        yield f"| {_name(line)} | {_spread(line.added, 0)} | {_share(line.added, best)} | {line.errors} |"


def _cost_table(workload, lines):
    best = summary.best_peer(lines)
    places = 2 if workload.is_bulk else 1
    yield f"| | added {workload.unit} | of best peer | {workload.rate} | p50 | p99 | p99.9 | errors |"
    yield "|---|---|---|---|---|---|---|---|"
    for line in lines:
        rate = _spread(line.throughput, 2 if workload.is_bulk else 0)
        latencies = " | ".join(f"{value.median:,.0f}" if value else "–" for value in (line.p50, line.p99, line.p999))
        cells = f"{_spread(line.added, places)} | {_share(line.added, best)} | {rate} | {latencies} | {line.errors}"
        yield f"| {_name(line)} | {cells} |"


def _name(line):
    return "**portti**" if line.contestant == "portti" else line.contestant


def _share(added, best):
    return f"{added.median / best:.2f}" if added and best and best > 0 else "–"


def _spread(spread, places):
    if spread is None:
        return "–"
    return f"{spread.median:,.{places}f} ({spread.low:,.{places}f}–{spread.high:,.{places}f})"


def _method(about):
    machine = about.machine
    kind = ", a virtual machine" if machine.virtual else ""
    pinned = (
        f"Proxies, client and backend share CPUs {machine.cpu_list} (`taskset`), and only those are counted."
        if machine.is_pinned
        else "Proxies, client and backend share all CPUs."
    )
    yield "## Machine and versions\n"
    yield f"- {machine.model}, {machine.cores} CPUs{kind}; Linux {machine.kernel}; {machine.distribution}"
    yield f"- {'; '.join(about.versions)}"
    yield from (f"- left out, because it could not be had: {name}" for name in about.left_out)
    yield f"- {about.date}, `{about.command}`\n"
    yield "## Method\n"
    yield f"- {pinned}"
    rounds = "1 round" if about.rounds == 1 else f"{about.rounds} rounds"
    yield f"- {rounds}, {about.seconds:g} s each after a warm-up. Within a round, the contestants take turns."
    yield f"- Each run has a fresh proxy and a fresh backend, {_APART if about.apart else _TOGETHER}."
    yield (
        "- Each proxy has two threads or workers, and the configuration that its documentation advises for plain TCP in front "
        "of one backend, without access log and health checks: see [contestants.py](../benches/report/contestants.py)."
    )
    yield (
        "- With HTTP (`http_rr`, `ws_rr`) each has instead what its documentation advises for a reverse proxy: connections to the "
        "backend are kept, `X-Forwarded-For` is set, WebSocket is passed on. What a proxy adds of its own accord stays: Envoy and "
        "portti make an `X-Request-Id`, for instance."
    )
    yield (
        "- Added cost: time in which the CPUs were not idle (`/proc/stat`) during the measured seconds, for one unit of work, "
        "less the same of `direct` in the same round."
    )
    yield (
        "- With TLS (`tls_rr64`, `tls_cps`) the CPU time of the client itself is taken off both, since its part of the work is the "
        "same for everyone; `direct` is without TLS. All proxies have the same certificate and their own defaults; what is "
        "agreed on is TLS 1.3 with TLS_AES_256_GCM_SHA384 and X25519."
    )
    yield (
        "- The client and the backend are one thread each around epoll ([benches/load](../benches/load)). Latencies go into a "
        "histogram with an error below 0.1 %. In `game` they count from when a message was due, not from when it was sent."
    )
    yield (
        "- In `http_rr` the client is [wrk](https://github.com/wg/wrk), with one thread: once to warm up, once measured, each "
        "from its start to its end, in whole seconds. wrk corrects its latencies for what a stall held up, and opens a "
        "connection anew, uncounted, when the other side has closed it."
    )
    yield (
        "- In `mixed_*`, a second client keeps another listener of the same proxy busy from before the first to after it. Added cost is "
        "not told, as it would be both clients'; `direct` has both clients at the backend, without TLS."
    )
    yield (
        f"- Memory: proportional set size (`smaps_rollup`), summed over all processes of a proxy; a straight line through "
        f"{', '.join(f'{count:,}' for count in workloads.IDLE_COUNTS)} sessions. What the kernel holds for sockets is not "
        "in it."
    )
    yield "- The client retries nothing: a connection that is refused, reset or closed too early is an error."
    yield "\nTo repeat it: `scripts/bench`; in a minute, and rougher: `scripts/bench --quick`."
