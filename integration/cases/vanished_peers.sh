#!/usr/bin/env bash
# A machine that vanishes from the network, without a word, is given up after tcp_user_timeout: as a client of a server that talks and of
# one that is silent, and as a server.
source "$(dirname "$0")/../lib.sh"

need ip iproute2
need nsenter util-linux

# Networks of the case's own: one for portti, one for the other machine.
if [ -z "${IN_NETWORK:-}" ]; then
    rights=()
    [ "$(id -u)" = 0 ] || rights=(--map-root-user)
    unshare "${rights[@]}" --net true 2>unshare.log || skip "no network of its own may be made here: $(tail -n 1 unshare.log)"
    exec env IN_NETWORK=1 unshare "${rights[@]}" --net "$0"
fi
unshare --net sleep 300 &
other=$!
eventually '[ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]' 5
there() {
    nsenter --target "$other" --net "$@"
}
ip link set lo up
ip link add near type veth peer name far
ip link set far netns "$other"
ip address add 10.77.0.1/24 dev near
ip link set near up
there ip address add 10.77.0.2/24 dev far
there ip link set far up

cat >python_there <<SH
#!/usr/bin/env bash
exec nsenter --target $other --net $PYTHON "\$@"
SH
chmod +x python_there

start_backend talks flood
start_backend silent silent
PYTHON=$PWD/python_there start_backend vanishes echo --host 10.77.0.2

start_portti <<TOML
$(for name in talks silent; do
    echo "[listeners.$name]
bind = \"10.77.0.1:0\"
pool = \"$name\"
[pools.$name]
backends = [\"$(address_of $name)\"]
tcp_user_timeout = \"3s\""
done)
[listeners.vanishes]
bind = "127.0.0.1:0"
pool = "vanishes"
[pools.vanishes]
backends = ["10.77.0.2:$(port_of vanishes)"]
tcp_user_timeout = "3s"
TOML

# Reads all that comes, and says when it has begun.
there "$PYTHON" - 10.77.0.1 "$(listener_port talks)" "$(listener_port silent)" >client.out <<'PYTHON' &
import select
import socket
import sys

host, *ports = sys.argv[1:]
open_ones = [socket.create_connection((host, int(port))) for port in ports]
open_ones[0].recv(1)
print("connected", flush=True)
while True:
    for readable in select.select(open_ones, [], [])[0]:
        readable.recv(1 << 16)
PYTHON
hold players "$(listener_port vanishes)" 1
eventually 'grep -q connected client.out' 5
eventually '[ "$(status .sessions_active)" = 3 ]' 5

there ip address del 10.77.0.2/24 dev far
began=$(now_ms)
eventually '[ "$(access_log .reason | wc -l)" = 3 ]' 15
# The silent one's silence began before.
between "milliseconds until all had ended" 2500 12000 "$(($(now_ms) - began))"
equal "reasons" "silent client_reset, talks client_reset, vanishes backend_reset" \
    "$(access_log '"\(.listener) \(.reason)"' | sort | paste -sd, | sed 's/,/, /g')"
