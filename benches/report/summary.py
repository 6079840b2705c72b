"""From the rows of all rounds to what the page shows."""

from dataclasses import dataclass

from . import stats

# A paced workload's throughput is the client's own: less than this short of another's is no difference.
PACED_TOLERANCE = 0.005


@dataclass(frozen=True)
class Line:
    """One contestant on one workload. Each figure is a Spread over the rounds, or None."""

    contestant: str
    # Added CPU for a unit of work; for idle, bytes for a session.
    added: stats.Spread | None
    throughput: stats.Spread | None
    p50: stats.Spread | None
    p99: stats.Spread | None
    p999: stats.Spread | None
    # What its neighbour got done in a second, if it had one.
    neighbour: stats.Spread | None
    errors: int
    # Messages that the client itself was late to send.
    late: int
    # Why runs gave no result.
    failures: tuple

    @property
    def is_peer(self):
        return self.contestant not in ("direct", "portti")


def lines(workload, rows):
    """A Line for each contestant that ran the workload, in the order of its first run."""
    mine = [row for row in rows if row["workload"] == workload.name]
    names = list(dict.fromkeys(row["contestant"] for row in mine))
    direct = _costs(workload, mine, "direct")
    return [_line(workload, name, [row for row in mine if row["contestant"] == name], direct) for name in names]


def _line(workload, name, rows, direct):
    results = [row["result"] for row in rows if "result" in row]
    if workload.is_idle:
        added = stats.spread([result["bytes_per_session"] for result in results])
    else:
        added = stats.spread(stats.added(_costs(workload, rows, name), direct)) if name != "direct" else None
    return Line(
        name,
        added,
        None if workload.is_idle else stats.spread([workload.throughput(result) for result in results]),
        *(stats.spread([result.get(key) for result in results]) for key in ("p50_us", "p99_us", "p999_us")),
        neighbour=stats.spread([result.get("neighbour") for result in results]),
        errors=sum(result["errors"] for result in results),
        late=sum(result.get("late", 0) for result in results),
        failures=tuple(row["failed"] for row in rows if "failed" in row),
    )


def _costs(workload, rows, name):
    """{round: CPU for a unit of work} of a contestant."""
    if not workload.has_cost:
        return {}
    return {
        row["round"]: stats.cost(workload.busy(row["result"]) * workload.scale, workload.work(row["result"]))
        for row in rows
        if row["contestant"] == name and "result" in row
    }


@dataclass(frozen=True)
class Verdict:
    """portti beside the best peer, by one measure of one workload."""

    measure: str
    portti: float
    best: float
    peer: str
    met: bool

    @property
    def ratio(self):
        return stats.ratio(self.portti, self.best)


MEASURES = (("added cost", "added", min), ("throughput", "throughput", max), ("p99", "p99", min))


def verdicts(workload, chosen):
    """For each measure that the workload has: is portti as good as the best peer, or better? By medians."""
    found = []
    for measure, field, best_of in MEASURES:
        portti = next((_middle(line, field) for line in chosen if line.contestant == "portti"), None)
        peers = [(_middle(line, field), line.contestant) for line in chosen if line.is_peer]
        peers = [peer for peer in peers if peer[0] is not None]
        if portti is not None and peers:
            best, peer = best_of(peers)
            found.append(Verdict(measure, portti, best, peer, _is_met(workload, portti, best, best_of)))
    return found


def best_peer(chosen, field="added"):
    """The best peer's median, or None."""
    values = [_middle(line, field) for line in chosen if line.is_peer and _middle(line, field) is not None]
    return min(values) if values else None


def _is_met(workload, portti, best, best_of):
    if best_of is min:
        return portti <= best
    return portti >= best * (1 - (PACED_TOLERANCE if workload.paced else 0))


def _middle(line, field):
    value = getattr(line, field)
    return value.median if value else None
