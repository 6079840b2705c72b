#!/usr/bin/env bash
# Descriptors that a reload asks for are there although the process began with a low soft limit; where the hard limit is too low, check and
# the log say so.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
# config MAX_CONNECTIONS: loaded when it stands in its place, in one step.
config() {
    with_admin >portti.toml.new <<TOML
[server]
max_connections = $1
$GAME
backends = ["$(address_of echo)"]
TOML
    mv portti.toml.new portti.toml
}

ulimit -n 4000
config 50
ulimit -Sn 256
launch_portti
ulimit -Sn 4000
await_started
equal "the soft limit is the hard one" 4000 "$(awk '/^Max open files/ { print $4 }' "/proc/$(portti_pid)/limits")"

config 1000
eventually '[ "$(status .max_connections)" = 1000 ]' 5
hold players "$(listener_port game)" 400
equal "players" 400 "$(status .sessions_active)"
equal "accepts that failed" 0 "$(metric portti_accept_errors_total)"
equal "warnings of descriptors" 0 "$(grep -c 'limit on open files' portti.log || true)"

config 3000
eventually '[ "$(status .max_connections)" = 3000 ]' 5
eventually 'grep -q "max_connections is 3000, but the limit on open files is 4000" portti.log' 5
"$PORTTI" check portti.toml >check.txt 2>&1
contains "check" 'max_connections is 3000, but the limit on open files is 4000.*LimitNOFILE=' check.txt
stop_client players
equal "failed players" 0 "$(report players .failed)"
