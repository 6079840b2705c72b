"""What watching costs: portti with its access log on and a scrape each second, beside portti without; and how long a scrape
takes when there is much to tell."""

import contextlib
import statistics
import sys
import threading
import time
import urllib.request

from . import rounds, stats, workloads
from .processes import Crew

WATCHED = ("rr64", "game")
# Each by at most so much.
MARK = 0.03

BACKENDS = 1000
SESSIONS = 8000
SCRAPES = 20
# Within which a scrape is to be answered.
SCRAPE_MARK = 0.100


def compare(setting, plain, watched):
    """Prints what watching does to each workload, as portti watched in proportion to portti plain."""
    names = [workload.name for workload in workloads.named(WATCHED)]
    found = {name: [] for name in names}
    for number in range(1, setting.rounds + 1):
        for workload in workloads.named(WATCHED):
            base = rounds.measure(setting, workload, plain)
            seen = rounds.measure(setting, workload, watched, during=_scraping)
            found[workload.name].append(_ratios(workload, seen, base))
            print(f"round {number}/{setting.rounds}  {workload.name}", file=sys.stderr, flush=True)
    print("portti with its access log and a scrape each second, in proportion to portti without:\n")
    print("| workload | CPU for an operation | throughput | p99 | |\n|---|---|---|---|---|")
    for name in names:
        print(_row(name, found[name]))


def _ratios(workload, seen, base):
    def cost(result):
        return stats.cost(result["busy_seconds"], workload.work(result))

    return (
        stats.ratio(cost(seen), cost(base)),
        stats.ratio(workload.throughput(seen), workload.throughput(base)),
        stats.ratio(seen["p99_us"], base["p99_us"]),
    )


def _row(name, ratios):
    cpu, rate, p99 = (stats.spread(column) for column in zip(*ratios, strict=True))
    moved = max(cpu.median - 1, 1 - rate.median)
    verdict = "met" if moved < MARK else f"**not met**: {moved:.1%}"
    cells = " | ".join(f"{part.median:.3f} ({part.low:.3f}–{part.high:.3f})" for part in (cpu, rate, p99))
    return f"| `{name}` | {cells} | {verdict} |"


@contextlib.contextmanager
def _scraping(place):
    """Asks for the metrics each second, as Prometheus would (and more often than most do)."""
    over = threading.Event()

    def scrape():
        while not over.is_set():
            _scrape(place.admin_port)
            over.wait(1.0)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read()


def time_scrapes(setting, portti):
    """Prints how long a scrape takes with many backends and sessions."""
    with Crew(setting.machine, setting.directory / "scrape", setting.apart) as crew:
        port = rounds.start_many_backends(crew, setting, BACKENDS)
        backends = [f"127.1.{index // 250}.{index % 250 + 1}:{port}" for index in range(BACKENDS)]
        place = rounds.new_place(crew, setting, backends)
        rounds.start_proxy(crew, setting, portti, place, "echo")
        errors = rounds.hold_sessions(crew, setting, f"127.0.0.1:{place.port}", SESSIONS)
        took, size = [], 0
        for _ in range(SCRAPES):
            began = time.monotonic()
            size = len(_scrape(place.admin_port))
            took.append(time.monotonic() - began)
    middle, worst = statistics.median(took), max(took)
    verdict = "met" if worst <= SCRAPE_MARK else "**not met**"
    print(
        f"A scrape with {BACKENDS:,} backends and {SESSIONS - errors:,} sessions: {middle * 1e3:.1f} ms, at most "
        f"{worst * 1e3:.1f} ms of {SCRAPES}, {size / 1e3:,.0f} KB: {verdict}."
    )
