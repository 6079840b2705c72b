"""What a flood of connections from one address, which are refused, does to those who play: 200 players beside 200 players with
the flood; and what a refusal costs beside an admission. The flood comes from CPUs that are not measured, as from another
machine."""

import contextlib
import json
import statistics
import subprocess
import sys

from . import rounds
from .contestants import Contestant
from .processes import Failed
from .workloads import Workload

RATE = 5000
PLAYERS = Workload(
    "players",
    "200 players, each 128 bytes 20 times a second",
    "echo",
    ("game", "--players", "200", "--size", "128", "--rate", "20"),
    "µs/op",
    paced=True,
)
# How much longer than without a flood the slowest in a hundred messages may take.
MARK = 1.2

# What refuses: the keys of the listener.
REFUSALS = {
    "rate_per_ip": 'rate_per_ip = "10/s"',
    "deny": 'deny = ["127.32.0.1"]',
    "ban": 'rate_per_ip = "10/s"\nban = { after = 20 }',
    "words": 'deny = ["127.32.0.1"]\nmessages = { protocol = "text", denied = "No.\\n" }',
}


def compare(setting, portti):
    """Prints the players' p99 without and with the flood, for each way to refuse it."""
    quiet, flooded, refused = {name: [] for name in REFUSALS}, {name: [] for name in REFUSALS}, []
    for number in range(1, setting.rounds + 1):
        for name, keys in REFUSALS.items():
            guarded = Contestant(name, portti.version, lambda place, keys=keys: _start(portti, place, keys))
            quiet[name].append(_sound(rounds.measure(setting, PLAYERS, guarded)))
            floods = []
            flooded[name].append(
                _sound(rounds.measure(setting, PLAYERS, guarded, during=lambda place: _flood(setting, place, floods)))
            )
            refused.append((name, floods[0]))
        print(f"round {number}/{setting.rounds}", file=sys.stderr, flush=True)
    _tell(quiet, flooded, refused)


def _tell(quiet, flooded, refused):
    print("| refused by | p99 without | p99 with | ratio | refused/s | CPU of a refusal |\n|---|---|---|---|---|---|")
    for name in REFUSALS:
        ratio = statistics.median(
            after["p99_us"] / before["p99_us"] for before, after in zip(quiet[name], flooded[name], strict=True)
        )
        before, after = (statistics.median(result["p99_us"] for result in runs[name]) for runs in (quiet, flooded))
        a_second = statistics.median(flood["ops_per_second"] for what, flood in refused if what == name)
        more = statistics.median(
            after["busy_seconds"] - before["busy_seconds"] for before, after in zip(quiet[name], flooded[name], strict=True)
        )
        cost = more / flooded[name][0]["seconds"] / a_second * 1e6
        print(
            f"| {name} | {before:,.0f} µs | {after:,.0f} µs | {ratio:.2f}, {'met' if ratio <= MARK else '**not met**'} "
            f"| {a_second:,.0f} | {cost:.1f} µs |"
        )


def _sound(result):
    if result["errors"]:
        raise Failed(f"{result['errors']} messages of players had no answer")
    return result


def _start(portti, place, keys):
    command = portti.command(place)
    path = command[-1]
    path.write_text(path.read_text().replace('pool = "game"\n', f'pool = "game"\n{keys}\n', 1))
    return command


@contextlib.contextmanager
def _flood(setting, place, floods):
    """Floods from the CPUs that this script has stepped aside to, for as long as the players are measured."""
    command = [setting.load, "client", "--target", f"127.0.0.1:{place.port}", "--cpus", setting.machine.cpu_list]
    command += ["--warm-up", setting.warm_up, "--seconds", setting.seconds, "flood", "--rate", RATE]
    flood = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    try:
        yield
        floods.append(json.loads(flood.communicate(timeout=30)[0]))
    finally:
        flood.kill()
        flood.wait()
