#!/usr/bin/env bash
# A dead server of this machine, on a port that the kernel may choose to connect from: a connection of portti to itself is none. The
# session is not served its own bytes, and it counts as a failed connect.
source "$(dirname "$0")/../lib.sh"

need ip iproute2

# A network of the case's own, in which there are few ports to choose from.
if [ -z "${IN_NETWORK:-}" ]; then
    rights=()
    [ "$(id -u)" = 0 ] || rights=(--map-root-user)
    unshare "${rights[@]}" --net true 2>unshare.log || skip "no network of its own may be made here: $(tail -n 1 unshare.log)"
    exec env IN_NETWORK=1 unshare "${rights[@]}" --net "$0"
fi
ip link set lo up
echo "40000 40031" >/proc/sys/net/ipv4/ip_local_port_range

start_portti <<TOML
[listeners.game]
bind = "127.0.0.1:30000"
pool = "game"
[pools.game]
backends = ["127.0.0.1:40004"]
retries = 0
breaker = { failures = 1000000 }
TOML

# Each says hello, and hears nothing: of 400 sessions a dozen at least would come back to themselves.
"$PYTHON" - >heard <<'PYTHON'
import socket

for _ in range(400):
    with socket.create_connection(("127.0.0.1", 30000)) as client:
        try:
            client.sendall(b"hello")
            print(client.recv(100))
        except OSError:
            print("reset")
PYTHON
equal "what anybody heard" "" "$(grep -v -e "b''" -e reset heard || true)"
equal "reasons" connect_failed "$(access_log .reason | sort -u)"
equal "sessions that counted as connected" 0 "$(metric portti_backend_sessions_total)"
