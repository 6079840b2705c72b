#!/usr/bin/env bash
# Listening sockets that systemd holds: clients that come while no portti runs wait instead of being refused, a listener that an edit
# removes refuses, and one that comes back takes clients again; a socket that nobody has use for is warned of, and refuses.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
game=127.0.0.1:$(free_port)
lobby=127.0.0.1:$(free_port)
nobody=127.0.0.1:$(free_port)

# config_with NAME ADDRESS ...: a listener for each.
config_with() {
    printf '[server]\nworkers = 2\ndrain_timeout = "1s"\n[pools.game]\nbackends = ["%s"]\n' "$(address_of echo)"
    while [ $# -gt 0 ]; do
        printf '[listeners.%s]\nbind = "%s"\npool = "game"\n' "$1" "$2"
        shift 2
    done
}

# said ADDRESS: what an echo there says, within 5 s; "refused" where nobody listens.
said() {
    "$PYTHON" - "$1" <<'PYTHON'
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
try:
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"hello")
        print(client.recv(5).decode())
except ConnectionRefusedError:
    print("refused")
PYTHON
}

config_with game "$game" lobby "$lobby" | with_admin >"$INSTANCE.toml"
"$PYTHON" "$INTEGRATION/holder.py" "$INSTANCE.pid" 1 "$game" "$lobby" "$nobody" -- "$PORTTI" run --config "$INSTANCE.toml" \
    >"$INSTANCE.out" 2>>"$INSTANCE.log" &
holder=$!
eventually '[ -s "$INSTANCE.pid" ]' 10
await_started
equal "a session on the first" hello "$(said "$game")"
equal "a session on the second" hello "$(said "$lobby")"
equal "one that the config does not have" refused "$(said "$nobody")"
contains "the warning" "no listener of the config has" "$INSTANCE.log"
equal "sockets of this portti's own on that address" 1 "$(ss -Hltn "src $game" | wc -l)"

hold players "${game##*:}" 40
stop_client players
equal "what went wrong for players" 0 "$(report players '[.connect_failed, .reset, .closed, .corrupt, .stalled] | add')"

# === While no portti runs, they wait
for signal in TERM KILL; do
    before=$(portti_pid)
    signal_portti "$signal"
    eventually '! kill -0 "$before" 2>/dev/null' 10
    equal "a client that came after SIG$signal" hello "$(said "$game")"
    eventually '[ "$(portti_pid)" != "$before" ]' 10
    await_started
done

# === An edit removes a listener, and brings it back
generation() { status .config.generation; }
edit() {
    local before
    before=$(generation)
    with_admin >"$INSTANCE.toml"
    eventually "[ \"\$(generation)\" -gt $before ]" 5
}
config_with game "$game" | edit
eventually '[ "$(said "$lobby")" = refused ]' 5
equal "the other one meanwhile" hello "$(said "$game")"
config_with game "$game" lobby "$lobby" | edit
equal "the one that is back" hello "$(said "$lobby")"
config_with other "$game" lobby "$lobby" | edit
equal "a socket that has passed to another listener" hello "$(said "$game")"
equal "that listener's sessions" 1 "$(status '.listeners[] | select(.name == "other").sessions_total')"
kill "$holder"
signal_portti TERM
