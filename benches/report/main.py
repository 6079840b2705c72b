"""The command line of scripts/bench."""

import argparse
import dataclasses
import datetime
import json
import os
import shlex
import signal
import sys
import unittest
from pathlib import Path

from . import contestants, floods, install, machine, observed, page, plot, reloads, rounds, summary, workloads
from .processes import Failed, can_be_apart

ROOT = Path(__file__).resolve().parents[2]


def main():
    options = _parser().parse_args()
    if options.self_check:
        return _self_check()
    # Being told to end, or losing the terminal, ends what was started too, as Ctrl-C does.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        return _bench(options)
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    except (Failed, KeyError, FileNotFoundError) as error:
        print(f"bench: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures portti beside HAProxy, nginx and Envoy, and writes docs/benchmarks.md and its plot.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round, in about a minute: shows that it works, not who is faster")
    add("--only", metavar="W,W", help="these workloads: " + ", ".join([*(workload.name for workload in workloads.WORKLOADS), workloads.MIXED]))
    add("--peers", metavar="P,P", help="these peers: " + ", ".join(contestants.PEERS) + '; "" for none')
    add("--rounds", type=int, help="how often each is measured (default: 5)")
    add("--seconds", type=float, help="how long each is measured (default: 3)")
    add("--cpus", metavar="N,N", help="measure on these CPUs (default: the first two)")
    add("--portti", type=Path, metavar="PATH", help="measure this binary (default: build one)")
    add("--out", type=Path, metavar="FILE", help="the page (default: docs/benchmarks.md; of a partial run, in target/bench)")
    add("--variant", choices=["observed"], help="instead: portti with access log and scrapes beside portti without")
    add("--scrape", action="store_true", help="instead: time a scrape with 1,000 backends and 8,000 sessions")
    add("--reload", action="store_true", help="instead: rr64 while a file of 1,000 pools and 5,000 backends is reloaded")
    add("--flood", action="store_true", help="instead: 200 players while one address connects 5,000 times a second")
    add("--self-check", action="store_true", help="instead: test this script's arithmetic")
    return parser


def _self_check():
    tests = unittest.defaultTestLoader.loadTestsFromName("report.test_report")
    return 0 if unittest.TextTestRunner().run(tests).wasSuccessful() else 1


def _bench(options):
    chosen = workloads.named(options.only.split(",")) if options.only else list(workloads.WORKLOADS)
    load = install.build_load(ROOT)
    binary = install.find_portti(ROOT, options.portti and options.portti.resolve())
    portti = contestants.portti(binary, install.version_of(binary))
    setting = _setting(options, load)
    if options.variant:
        watched = contestants.portti(binary, portti.version, "watched", access_log=True)
        return observed.compare(setting, portti, watched)
    if options.scrape:
        return observed.time_scrapes(setting, portti)
    if options.reload:
        return reloads.compare(setting, portti)
    if options.flood:
        return floods.compare(setting, portti)
    wanted = contestants.PEERS if options.peers is None else [name for name in options.peers.split(",") if name]
    peers = {name: install.find_peer(name, ROOT) for name in wanted}
    left_out = [name for name, peer in peers.items() if not peer]
    everyone = (contestants.DIRECT, portti, *(peer for peer in peers.values() if peer))
    if any(workload.is_by_wrk for workload in chosen):
        setting = dataclasses.replace(setting, wrk=install.find_wrk(ROOT))
        if not setting.wrk:
            left_out += [f"wrk, for `{workload.name}`" for workload in chosen if workload.is_by_wrk]
            chosen = [workload for workload in chosen if not workload.is_by_wrk]
    rows = _measure(setting, chosen, everyone)
    _report(options, setting, chosen, everyone, left_out, rows)
    return 1 if any("failed" in row for row in rows) else 0


def _setting(options, load):
    cpus = [int(cpu) for cpu in options.cpus.split(",")] if options.cpus else None
    descriptors = machine.raise_descriptor_limit()
    sessions = contestants.sessions_allowed(descriptors)
    if sessions < max(workloads.IDLE_COUNTS):
        raise Failed(f"{max(workloads.IDLE_COUNTS):,} sessions need more than {descriptors:,} open files: raise ulimit -Hn")
    here = machine.look(cpus)
    machine.step_aside(here)
    return rounds.Setting(
        machine=here,
        load=load,
        directory=ROOT / "target" / "bench" / "runs",
        rounds=options.rounds or (1 if options.quick else 5),
        seconds=options.seconds or (0.6 if options.quick else 3.0),
        warm_up=0.2 if options.quick else 1.0,
        sessions=sessions,
        # Scrapes come from this script, which stays where it is.
        apart=can_be_apart() and not (options.variant or options.scrape or options.reload or options.flood),
    )


def _measure(setting, chosen, everyone):
    """All rows; those of a run that is broken off are kept in the file of raw results too."""
    rows, path = [], ROOT / "target" / "bench" / "results.json"
    try:
        for row in rounds.run_all(setting, chosen, everyone):
            rows.append(row)
    finally:
        path.write_text(json.dumps(rows, indent=1))
    return rows


def _report(options, setting, chosen, everyone, left_out, rows):
    partial = bool(options.quick or options.only or options.peers is not None)
    out = options.out or ROOT / ("target/bench" if partial else "docs") / "benchmarks.md"
    tables = [(workload, summary.lines(workload, rows)) for workload in chosen]
    about = page.About(
        machine=setting.machine,
        versions=tuple(one.version for one in (*everyone, setting.wrk) if one and one.version),
        left_out=tuple(left_out),
        rounds=setting.rounds,
        seconds=setting.seconds,
        date=datetime.date.today().isoformat(),
        command=_command(),
        plot=out.with_suffix(".svg").name,
        is_quick=options.quick,
        apart=setting.apart,
    )
    page.write(out, about, tables)
    out.with_suffix(".svg").write_text(plot.draw(tables))
    print(f"written: {os.path.relpath(out)}, {os.path.relpath(out.with_suffix('.svg'))}, target/bench/results.json")


def _command():
    """The command line as somebody would repeat it: without where this machine keeps its binaries and pages."""
    kept, arguments = [], iter(sys.argv[1:])
    for argument in arguments:
        if argument in ("--portti", "--out"):
            next(arguments, None)
        elif not argument.startswith(("--portti=", "--out=")):
            kept.append(argument)
    return shlex.join(["scripts/bench", *kept])
