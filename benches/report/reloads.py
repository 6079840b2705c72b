"""What a large reload does to those who play meanwhile: rr64 while a file of many pools is edited over and over, beside rr64
while it is left alone."""

import contextlib
import statistics
import sys
import threading
import time
from pathlib import Path

from . import rounds, workloads
from .contestants import Contestant

POOLS = 1000
BACKENDS_EACH = 5
# Between the end of a reload and the next edit.
PAUSE = 0.5
# Within which an edit is to be applied.
APPLIED_MARK = 1.0
# What the slowest message may take longer than without reloads, in microseconds.
SPIKE_MARK = 5000
# An edit that is not applied by then will not be.
PATIENCE = 20.0


def compare(setting, portti):
    """Prints how long reloads take, and the slowest messages with and without them."""
    (workload,) = workloads.named(["rr64"])
    large = Contestant("large", portti.version, lambda place: _start(portti, place))
    quiet, edited, took = [], [], []
    for number in range(1, setting.rounds + 1):
        quiet.append(rounds.measure(setting, workload, large))
        edited.append(rounds.measure(setting, workload, large, during=lambda place: _editing(place, took)))
        print(f"round {number}/{setting.rounds}", file=sys.stderr, flush=True)
    _tell(quiet, edited, took)


def _tell(quiet, edited, took):
    middle, worst = statistics.median(took), max(took)
    print(
        f"A reload of {POOLS:,} pools and {POOLS * BACKENDS_EACH:,} backends, each pool changed, from edit to applied: "
        f"{middle * 1e3:.0f} ms, at most {worst * 1e3:.0f} ms of {len(took)}: {_verdict(worst <= APPLIED_MARK)}.\n"
    )
    print("| `rr64` | p99 | p99.9 | slowest |\n|---|---|---|---|")
    for name, results in (("left alone", quiet), ("reloaded again and again", edited)):
        cells = (statistics.median(result[key] for result in results) for key in ("p99_us", "p999_us", "max_us"))
        print(f"| {name} | " + " | ".join(f"{cell:,.0f} µs" for cell in cells) + " |")
    spike = statistics.median(after["max_us"] - before["max_us"] for before, after in zip(quiet, edited, strict=True))
    print(f"\nThe slowest message took {spike:+,.0f} µs longer with reloads: {_verdict(spike <= SPIKE_MARK)}.")


def _verdict(is_met):
    return "met" if is_met else "**not met**"


def _start(portti, place):
    command = portti.command(place)
    path = Path(command[-1])
    path.write_text(path.read_text() + _pools(0))
    return command


def _pools(version):
    """Pools beside the one that is measured. Each differs between versions, so that a reload has all of them to change."""
    return "".join(
        f"[pools.p{pool}]\nconnect_timeout = \"{2 + version % 3}s\"\nbackends = ["
        + ", ".join(f'"10.{pool // 250}.{pool % 250}.{host}:25565"' for host in range(1, BACKENDS_EACH + 1))
        + "]\n"
        for pool in range(1, POOLS)
    )


@contextlib.contextmanager
def _editing(place, took):
    """Rewrites the file, waits until that is applied, and begins again; adds to `took` how long each took, in seconds."""
    over = threading.Event()
    path, log = place.directory / "portti.toml", place.directory / "large.log"
    base = path.read_text().partition("[pools.p1]")[0]

    def edit():
        version = 0
        while not over.wait(PAUSE):
            version += 1
            new = path.with_suffix(".new")
            new.write_text(base + _pools(version))
            began = time.monotonic()
            new.rename(path)
            while log.read_bytes().count(b'"config reloaded"') < version:
                if time.monotonic() - began > PATIENCE:
                    # Shows as the worst one.
                    break
                time.sleep(0.005)
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
