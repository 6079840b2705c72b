"""The contestants, and the configuration of each: what its own documentation advises for plain TCP, or HTTP with WebSocket, in
front of one backend, with two threads or workers, no access log, no health checks, and timeouts and counts that no workload
reaches. With HTTP, connections to the backend are kept, and it is told by X-Forwarded-For who the client is."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

WORKERS = 2
# On one connection, at most: none has so many.
REQUESTS = 1_000_000_000


@dataclass(frozen=True)
class Place:
    """Where a proxy is to stand."""

    # Its configuration and logs go here.
    directory: Path
    # It listens here ...
    port: int
    # ... passes connections on to these (address:port) ...
    backends: tuple
    # ... and may have so many sessions.
    sessions: int
    admin_port: int = 0
    # Where it finds `cert.pem`, `cert.key` and both in `both.pem`, if it is to speak TLS with its clients.
    certificate: Path | None = None
    # It is to pass on requests instead of bytes.
    http: bool = False
    # What the listener is called.
    name: str = "game"
    # Where its second listener is to stand, if it is to have one.
    neighbour: "Place | None" = None

    @property
    def listeners(self):
        """The places of all its listeners."""
        return (self, self.neighbour) if self.neighbour else (self,)

    @property
    def mode(self):
        """As HAProxy and portti call it."""
        return "http" if self.http else "tcp"

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path


@dataclass(frozen=True)
class Contestant:
    name: str
    version: str = ""
    # From a place to a command line; None for a direct connection.
    command: Callable | None = None
    environment: dict = field(default_factory=dict)

    @property
    def is_peer(self):
        return self.name not in ("direct", "portti")


def portti(binary, version, name="portti", access_log=False):
    def listener(place):
        config = f"""\
[listeners.{place.name}]
mode = "{place.mode}"
bind = "127.0.0.1:{place.port}"
pool = "{place.name}"
[pools.{place.name}]
balance = "least_connections"
backends = {json.dumps(place.backends)}
"""
        if place.certificate:
            files = f'{{ cert = "{place.certificate}/cert.pem", key = "{place.certificate}/cert.key" }}'
            config += f"[listeners.{place.name}.tls]\ncertificates = [{files}]\n"
        return config

    def command(place):
        config = f"""\
[server]
workers = {WORKERS}
max_connections = {place.sessions}
[admin]
bind = "127.0.0.1:{place.admin_port}"
[log]
access = {str(access_log).lower()}
"""
        config += "".join(map(listener, place.listeners))
        return [binary, "run", "--config", place.write("portti.toml", config)]

    return Contestant(name, version, command)


def haproxy(binary, version, environment):
    # No splicing: `option splice-auto` is off unless asked for. The backlog follows maxconn by itself. WebSocket needs nothing.
    http = "option forwardfor\n    http-reuse always\n    timeout tunnel 1h"

    def listener(place):
        return f"""\
listen {place.name}
    bind 127.0.0.1:{place.port}{f" ssl crt {place.certificate}/both.pem" if place.certificate else ""}
    server {place.name} {place.backends[0]}
"""

    def command(place):
        config = f"""\
global
    nbthread {WORKERS}
    maxconn {place.sessions}
defaults
    mode {place.mode}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    {http if place.http else ""}
{"".join(map(listener, place.listeners))}"""
        # -db: stay in the foreground.
        return [binary, "-db", "-f", place.write("haproxy.cfg", config)]

    return Contestant("haproxy", version, command, environment)


def nginx(binary, version, environment, module):
    # reuseport: a socket for each worker, which its documentation gives for spreading connections; without it one of two
    # workers may get nearly all. backlog: its default of 511 would drop connections of the burst; the others' is 4,096.
    def server(place):
        ssl, certificate = "", ""
        if place.certificate:
            ssl = " ssl"
            certificate = f"ssl_certificate {place.certificate}/cert.pem; ssl_certificate_key {place.certificate}/cert.key;"
            certificate += " ssl_protocols TLSv1.2 TLSv1.3;"
        return f"""\
    server {{
        listen 127.0.0.1:{place.port}{ssl} reuseport backlog=4096;
        {certificate}
        proxy_connect_timeout 5s;
        proxy_timeout 1h;
        proxy_pass {place.backends[0]};
    }}
"""

    def command(place):
        load = f"load_module {module};" if module and not place.http else ""
        stream = f"stream {{\n{''.join(map(server, place.listeners))}}}"
        # A session takes two, and one worker may get nearly all.
        connections = 2 * place.sessions
        config = f"""\
{load}
daemon off;
worker_processes {WORKERS};
worker_rlimit_nofile {connections + 500};
pid {place.directory}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections {connections};
}}
{_nginx_http(place) if place.http else stream}
"""
        return [binary, "-e", "stderr", "-p", place.directory, "-c", place.write("nginx.conf", config)]

    return Contestant("nginx", version, command, environment)


def _nginx_http(place):
    # As for TCP, and what its documentation says about `keepalive` and about WebSocket: a request that asks for no upgrade gets no
    # header Connection. By default it closes a connection after a thousand requests. The folders would be the system's.
    folders = "\n    ".join(
        f"{kind}_temp_path {place.directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
http {{
    access_log off;
    {folders}
    keepalive_requests {REQUESTS};
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' '';
    }}
    upstream game {{
        server {place.backends[0]};
        keepalive 64;
        keepalive_requests {REQUESTS};
    }}
    server {{
        listen 127.0.0.1:{place.port} reuseport backlog=4096;
        location / {{
            proxy_pass http://game;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_connect_timeout 5s;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}"""


def envoy(binary, version):
    # Each worker has a socket of its own by default (enable_reuse_port). The limits of the cluster's circuit breaker, 1,024
    # by default, are raised so that all sessions pass.
    def command(place):
        limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), place.sessions)
        config = {
            "static_resources": {
                "listeners": list(map(_envoy_listener, place.listeners)),
                "clusters": [_envoy_cluster(listener, limits) for listener in place.listeners],
            },
        }
        path = place.write("envoy.json", json.dumps(config, indent=2))
        # Hot restart needs memory shared between processes, which only one Envoy on a machine could have.
        return [binary, "-c", path, "--concurrency", WORKERS, "--disable-hot-restart", "--log-level", "error"]

    return Contestant("envoy", version, command)


def _envoy_listener(place):
    filters = [_http_filter() if place.http else _tcp_proxy_filter(place.name)]
    return {
        "name": place.name,
        "address": _socket_address("127.0.0.1", place.port),
        "filter_chains": [{"filters": filters, **_tls(place)}],
    }


def _envoy_cluster(place, limits):
    host, port = place.backends[0].split(":")
    endpoint = {"endpoint": {"address": _socket_address(host, int(port))}}
    return {
        "name": place.name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": place.name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _socket_address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


def _tls(place):
    if not place.certificate:
        return {}
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    pair = {
        "certificate_chain": {"filename": f"{place.certificate}/cert.pem"},
        "private_key": {"filename": f"{place.certificate}/cert.key"},
    }
    # It stops at TLS 1.2 for clients unless told otherwise.
    versions = {"tls_maximum_protocol_version": "TLSv1_3"}
    config = {"@type": kind, "common_tls_context": {"tls_certificates": [pair], "tls_params": versions}}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": config}}


def _tcp_proxy_filter(cluster):
    kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    config = {"@type": kind, "stat_prefix": cluster, "cluster": cluster, "idle_timeout": "3600s"}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}


def _http_filter():
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "game", "timeout": "3600s"}}
    config = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "game",
        # Only with this does it set X-Forwarded-For.
        "use_remote_address": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "3600s",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "game", "domains": ["*"], "routes": [route]}]},
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def sessions_allowed(descriptors):
    """How many sessions a proxy may have: two descriptors each, some to spare, and a thousand more than are needed."""
    return min(9000, (descriptors - 600) // 2)


DIRECT = Contestant("direct")
PEERS = ("haproxy", "nginx", "envoy")


def is_root():
    return os.geteuid() == 0
