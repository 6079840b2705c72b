#!/usr/bin/env bash
# A worker that hangs ends the signs of life for the watchdog, although the control thread goes on.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../supervised.sh"

start_backend echo echo
start_supervised 400000 <<TOML
[server]
workers = 2
[listeners.game]
bind = "127.0.0.1:GAME_PORT"
pool = "game"
[pools.game]
backends = ["$(address_of echo)"]
TOML
eventually '[ "$(pings)" -ge 2 ]' 15

"$PYTHON" "$INTEGRATION/freeze.py" "$(portti_pid)" worker-1 >freeze.out &
freezer=$!
eventually "[ -s freeze.out ] || ! kill -0 $freezer" 5
grep -qx frozen freeze.out || skip "$(cat freeze.out)"

sleep 0.3
equal "signs of life with a worker that hangs" 0 "$(pings_within 1)"
equal "/healthz, which asks no worker" 200 "$(http_code /healthz)"
contains "the log" 'a worker does not answer' portti.log

kill "$freezer"
eventually '[ "$(pings_within 1)" -ge 2 ]' 5
