"""Running the contestants in turn."""

import contextlib
import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import install, stats, workloads
from .contestants import Place
from .processes import START_PATIENCE, Crew, Failed, free_port, memory

# What a run may take beyond its own seconds before it is given up: the burst waits up to 20 s for its last connection.
PATIENCE = 60.0
# Between the start of a proxy, or the last of many sessions, and measuring.
SETTLE = 0.3
# How much longer a neighbour is at work than the workload beside it, which begins after it and has connections to make.
_LEAD = 1.0
# Makes wrk say what it has measured.
WRK_SCRIPT = Path(__file__).resolve().parents[1] / "load" / "wrk.lua"


@dataclass(frozen=True)
class Setting:
    """What holds for every run."""

    machine: object
    # The load generator.
    load: Path
    # Logs and configurations go here.
    directory: Path
    rounds: int
    # How long to measure, and to warm up before.
    seconds: float
    warm_up: float
    # Sessions that a proxy may have.
    sessions: int
    # Whether each run has a network namespace of its own.
    apart: bool
    # An install.Tool, or None where no workload needs it.
    wrk: object = None


def run_all(setting, chosen, contestants):
    """Yields one row for each round, workload and contestant. The contestants take turns: whatever changes on the machine
    meanwhile meets all of them."""
    for number in range(1, setting.rounds + 1):
        for workload in chosen:
            for contestant in contestants:
                if workload.is_idle and contestant.command is None:
                    continue
                row = {"round": number, "workload": workload.name, "contestant": contestant.name}
                row |= _measure_or_say_why_not(setting, workload, contestant)
                _tell(setting, row)
                yield row


def _measure_or_say_why_not(setting, workload, contestant):
    try:
        return {"result": measure(setting, workload, contestant)}
    except Failed as failure:
        return {"failed": str(failure)}


def _tell(setting, row):
    outcome = row.get("failed") or ", ".join(
        f"{key} {value:,.0f}" for key, value in row["result"].items() if value is not None and key in _TOLD
    )
    print(
        f"round {row['round']}/{setting.rounds}  {row['workload']:<10}{row['contestant']:<10} {outcome}",
        file=sys.stderr,
        flush=True,
    )


_TOLD = ("ops_per_second", "bytes_per_second", "p99_us", "bytes_per_session", "errors")


def measure(setting, workload, contestant, during=None):
    """One run, with a fresh backend and a fresh proxy, so that nobody inherits what an earlier run has left behind.

    `during`, if given, is called with the proxy's Place and returns a context that lasts as long as the run.
    """
    with Crew(setting.machine, setting.directory / f"{workload.name}-{contestant.name}", setting.apart) as crew:
        ports = _start_backend(crew, setting)
        target, proxy = ports[workload.port], None
        beside = ports[workload.neighbour.port] if workload.neighbour else None
        if contestant.command:
            place = new_place(crew, setting, [target], workload.tls, workload.is_http)
            if workload.neighbour:
                place = _with_neighbour(crew, setting, place, workload.neighbour, beside)
                beside = f"127.0.0.1:{place.neighbour.port}"
            target, proxy = f"127.0.0.1:{place.port}", start_proxy(crew, setting, contestant, place, workload.port)
        if workload.is_idle:
            return _measure_memory(crew, setting, workload, target, proxy)
        if workload.neighbour:
            return _run_beside(crew, setting, workload, (target, beside), bool(contestant.command))
        tls = bool(workload.tls and contestant.command)
        with during(place) if during else contextlib.nullcontext():
            return _run_client(crew, setting, workload, target, tls)


def _start_backend(crew, setting, addresses=1):
    backend = crew.start("backend", [setting.load, "backend", "--addresses", addresses], pipes=True)
    return crew.answer("backend", backend, PATIENCE)


def new_place(crew, setting, backends, tls=False, http=False):
    certificate = install.certificate(setting.directory / "certificate") if tls else None
    return Place(crew.directory, free_port(), tuple(backends), setting.sessions, free_port(), certificate, http)


def start_proxy(crew, setting, contestant, place, port):
    """Starts a proxy and waits until it serves."""
    proxy = crew.start(contestant.name, contestant.command(place), contestant.environment)
    command = [setting.load, "client", "--target", f"127.0.0.1:{place.port}", "--cpus", setting.machine.cpu_list]
    command += ["--tls"] if place.certificate else []
    probe = crew.start("probe", [*command, "wait", "--port", port], pipes=True)
    try:
        crew.answer("probe", probe, START_PATIENCE)
    except Failed:
        state = "does not serve" if proxy.poll() is None else "ended at once"
        raise Failed(f"{contestant.name} {state}: {crew.said('probe')}; {crew.said(contestant.name)}") from None
    time.sleep(SETTLE)
    return proxy


def start_client(crew, setting, workload, target, tls=False, name="client", longer=0.0):
    command = [setting.load, "client", "--target", target, "--cpus", setting.machine.cpu_list]
    command += ["--tls"] if tls else []
    command += ["--warm-up", setting.warm_up, "--seconds", setting.seconds + longer, *workload.arguments]
    if workload.arguments[0] != "wrk":
        return crew.start(name, command, pipes=True)
    command += ["--program", setting.wrk.binary, "--script", WRK_SCRIPT]
    return crew.start("client", command, setting.wrk.environment, pipes=True)


def _run_client(crew, setting, workload, target, tls):
    client = start_client(crew, setting, workload, target, tls)
    return crew.answer("client", client, setting.warm_up + setting.seconds + PATIENCE)


def _with_neighbour(crew, setting, place, neighbour, backend):
    """The same place, with another listener in front of another of the backend's ports."""
    certificate = install.certificate(setting.directory / "rsa", install.RSA_2048) if neighbour.tls else None
    other = Place(crew.directory, free_port(), (backend,), setting.sessions, certificate=certificate, name="neighbour")
    return dataclasses.replace(place, neighbour=other)


def _run_beside(crew, setting, workload, targets, encrypts):
    """Runs the workload while its neighbour is at work, too, and notes how much that got done."""
    (target, beside), neighbour = targets, workload.neighbour
    other = start_client(crew, setting, neighbour, beside, neighbour.tls and encrypts, "neighbour", _LEAD)
    time.sleep(SETTLE)
    result = _run_client(crew, setting, workload, target, False)
    # It goes on until the other has ended.
    done = crew.answer("neighbour", other, setting.warm_up + setting.seconds + PATIENCE)
    return {**result, "neighbour": neighbour.throughput(done)}


def _measure_memory(crew, setting, workload, target, proxy):
    client = start_client(crew, setting, workload, target)
    points, errors = [], 0
    for _ in workloads.IDLE_COUNTS:
        line = crew.answer("client", client, PATIENCE)
        errors = line["errors"]
        time.sleep(SETTLE)
        points.append((line["held"], memory(proxy.pid)))
        client.stdin.write("\n")
        client.stdin.flush()
    return {"points": points, "bytes_per_session": stats.slope(points), "errors": errors}


def hold_sessions(crew, setting, target, count):
    """Opens that many idle sessions, which last as long as the crew. Returns how many could not be opened."""
    idle = workloads.Workload("idle", "", "echo", ("idle", "--sessions", str(count)), "")
    return crew.answer("client", start_client(crew, setting, idle, target), PATIENCE)["errors"]


def start_many_backends(crew, setting, count):
    """One process that echoes on so many addresses, as if each were a backend."""
    return _start_backend(crew, setting, count)["echo"].rpartition(":")[2]
