#!/usr/bin/env bash
# What systemd is told: READY when sessions are served and not before, RELOADING and READY around a reload, STOPPING with the
# time that a drain may take, signs of life for the watchdog, and a line for `systemctl status`.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../supervised.sh"

start_backend echo echo
# A name server that takes questions and answers none: the start waits for it, and READY must wait with it.
"$PYTHON" -c '
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
    silent.bind(("127.0.0.1", 0))
    print(silent.getsockname()[1], flush=True)
    time.sleep(1000)' >dns.port &
eventually '[ -s dns.port ]' 10

start_supervised 400000 <<TOML
[server]
shutdown_delay = "1s"
drain_timeout = "20s"
[listeners.game]
bind = "127.0.0.1:GAME_PORT"
pool = "game"
[pools.game]
backends = ["$(address_of echo)", "nobody.test:1"]
[dns]
servers = ["127.0.0.1:$(cat dns.port)"]
timeout = "1500ms"
TOML

eventually '[ "$(http_code /startupz)" = 503 ]' 5
equal "what was heard during the start" "" "$(cat heard.json)"
eventually '[ -n "$(heard .READY)" ]' 15
equal "the first word" '"1"' "$(heard .READY | head -n 1)"
equal "a session the moment that READY came" true "$(heard .echoed | head -n 1)"
contains "the line for a person" '"STATUS": "sessions: 0, level: full"' heard.json

# === A reload
words() {
    jq -r 'if .RELOADING then "RELOADING" elif .READY then "READY" else empty end' heard.json | paste -sd' '
}
echo "# a comment" >>portti.toml
signal_portti HUP
eventually '[ "$(words)" != "READY RELOADING" ] && [ "$(words)" != READY ]' 5
equal "the words so far" "READY RELOADING READY" "$(words)"
# systemd takes a reload for the newest by its time.
lag=$(jq -s '[.[] | select(.RELOADING)][0] | .at_usec - (.MONOTONIC_USEC | tonumber)' heard.json)
between "microseconds from a reload's time to its arrival" 0 1000000 "$lag"

echo "nonsense" >>portti.toml
eventually 'grep -q "STATUS.*refused" heard.json' 5
equal "the words after a file that was refused" "READY RELOADING READY RELOADING READY" "$(words)"

# === Signs of life, twice as often as asked for
between "signs of life within 2 s" 6 11 "$(pings_within 2)"
signal_portti STOP
sleep 0.3
equal "signs of life of a stopped process" 0 "$(pings_within 1)"
signal_portti CONT
eventually '[ "$(pings_within 1)" -ge 2 ]' 5

# === A drain
hold player "$GAME_PORT" 1
eventually 'grep -q "STATUS.*sessions: 1" heard.json' 10
signal_portti TERM
eventually '[ -n "$(heard .STOPPING)" ]' 2
# shutdown_delay, drain_timeout and what comes after them.
equal "the time that it may take" '"26000000"' "$(heard .EXTEND_TIMEOUT_USEC)"
eventually 'grep -q "draining: 1 sessions left" heard.json' 2
between "signs of life while it drains" 3 11 "$(pings_within 2)"
stop_client player
await_exit 5
equal "exit code" 0 "$EXIT_CODE"
