"""The arithmetic of the benchmark. Nothing here runs anything."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The middle of some rounds, and how far they lie apart."""

    median: float
    low: float
    high: float


def spread(values):
    """The Spread of those values that are there, or None when none is."""
    values = [value for value in values if value is not None]
    return Spread(median(values), min(values), max(values)) if values else None


def cost(busy_seconds, work):
    """CPU seconds for one unit of work, or None when nothing was done."""
    return busy_seconds / work if work else None


def added(through, direct):
    """What a proxy adds to a direct connection, round by round: both are {round: cost}. A round that lacks one is left out."""
    rounds = sorted(through.keys() & direct.keys())
    return [through[number] - direct[number] for number in rounds if None not in (through[number], direct[number])]


def slope(points):
    """The rise of the straight line that fits [(x, y), ...] best (least squares)."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / below


def ratio(value, base):
    """value / base, or None where that says nothing (either is missing, or the base is not above zero)."""
    return value / base if value is not None and base is not None and base > 0 else None
