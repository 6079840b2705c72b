"""The machine that the benchmark runs on."""

import os
import platform
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

# Everything that is measured runs here: proxies, client and backend share two CPUs, as the marks say.
CPUS_USED = 2
# Above this share of foreign work on the CPUs, the page warns that the numbers are not to be trusted.
QUIET = 0.03


@dataclass(frozen=True)
class Machine:
    model: str
    cores: int
    # The CPUs that are measured on, such as (0, 1).
    cpus: tuple
    kernel: str
    distribution: str
    virtual: bool
    # The share of the CPUs' time that others took before the run.
    foreign: float

    @property
    def cpu_list(self):
        return ",".join(map(str, self.cpus))

    @property
    def is_pinned(self):
        return self.cores > len(self.cpus)

    @property
    def is_quiet(self):
        return self.foreign <= QUIET


def look(wanted=None):
    """Describes this machine, and chooses the CPUs to measure on (`wanted`, or the first ones this process may use)."""
    allowed = sorted(os.sched_getaffinity(0))
    cpus = tuple(wanted or allowed[:CPUS_USED])
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    return Machine(
        model=model[1] if model else platform.machine(),
        cores=len(allowed),
        cpus=cpus,
        kernel=platform.release(),
        distribution=platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        virtual=bool(re.search(r"^flags\s*:.*\bhypervisor\b", info, re.MULTILINE)),
        foreign=_busy_share(cpus),
    )


def step_aside(machine):
    """Moves this script to CPUs that are not measured, where there are any."""
    others = os.sched_getaffinity(0) - set(machine.cpus)
    if others:
        os.sched_setaffinity(0, others)


def raise_descriptor_limit():
    """Lets everything started from here open as many files as the machine allows, and tells how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _busy_share(cpus, seconds=1.0):
    before = _idle_seconds(cpus)
    time.sleep(seconds)
    return max(0.0, 1 - (_idle_seconds(cpus) - before) / (seconds * len(cpus)))


def _idle_seconds(cpus):
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = {words[0]: int(words[4]) + int(words[5]) for words in lines if words[0].startswith("cpu")}
    return sum(ticks[f"cpu{cpu}"] for cpu in cpus) / os.sysconf("SC_CLK_TCK")
