#!/usr/bin/env bash
# No port is left to connect to a backend from: sessions end for that reason, it is counted and told, and the backend is not held against.
if [ -z "${IN_A_NET_OF_ITS_OWN:-}" ]; then
    map=()
    [ "$(id -u)" = 0 ] || map=(--map-root-user)
    if unshare "${map[@]}" --net true 2>/dev/null; then
        IN_A_NET_OF_ITS_OWN=yes exec unshare "${map[@]}" --net "$0" "$@"
    fi
fi
source "$(dirname "$0")/../lib.sh"
[ -n "${IN_A_NET_OF_ITS_OWN:-}" ] || skip "a network of its own may not be made here"
ip link set lo up

start_backend echo echo
start_portti <<TOML
$GAME
backends = ["$(address_of echo)"]
TOML
# As many sessions as there are ports, and some more: from addresses of their own, so that the clients have ports enough.
echo "40000 40019" >/proc/sys/net/ipv4/ip_local_port_range
"$PYTHON" - "$(listener_port game)" >ends <<'PY'
import socket, sys
sessions = []
for number in range(30):
    session = socket.socket()
    session.bind((f"127.0.1.{1 + number}", 0))
    session.settimeout(10)
    session.connect(("127.0.0.1", int(sys.argv[1])))
    session.sendall(b"hello")
    sessions.append(session)
def end(session):
    try:
        return "served" if session.recv(10) else "closed"
    except ConnectionResetError:
        return "closed"
for session in sessions:
    print(end(session))
PY
echo "32768 60999" >/proc/sys/net/ipv4/ip_local_port_range
between "sessions that are served" 1 20 "$(grep -c served ends)"
refused=$(grep -c closed ends)
eventually '[ "$(metric portti_sessions_total reason=no_source_port)" = "$refused" ]' 5
between "connects without a port" "$refused" 1000 "$(metric portti_backend_failures_total reason=no_source_port)"
equal "the circuit" 0 "$(metric portti_backend_circuit_state)"
equal "other failures" 0 "$(metric portti_backend_failures_total reason=connect_failed)"
equal "that the log says why" yes "$(grep -q "no source port left" portti.log && echo yes)"
