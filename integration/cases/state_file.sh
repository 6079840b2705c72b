#!/usr/bin/env bash
# What was set by hand outlives the process: a kill -9, a SIGTERM, and files that are of no use.
source "$(dirname "$0")/../lib.sh"

# order PATH JSON: by hand, through the API.
order() {
    local code
    code=$(curl -s --max-time 5 -o order.out -w '%{http_code}' -H 'Content-Type: application/json' -d "$2" \
        "http://$(cat "$INSTANCE.admin")/api/v1$1")
    [ "${code:0:1}" = 2 ] || fail "$1 $2: $code $(cat order.out)"
}

again() {
    launch_portti
    await_started
}

start_backend one named
start_backend two named
start_portti <<TOML
[state]
file = "state.json"
$GAME
backends = ["$(address_of one)", "$(address_of two)"]
TOML
order "/pools/game/backends/$(address_of one)/state" '{"state": "drain"}'
order "/pools/game/backends/$(address_of two)/weight" '{"weight": 3}'
order /bans '{"network": "127.0.7.0/24", "why": "cheats"}'
eventually '[ "$(jq ".state.bans | length" state.json)" = 1 ]' 5
equal "mode of the file" 600 "$(stat -c %a state.json)"

signal_portti KILL
await_exit 2
: >portti.log
again
equal "state" "drain hand" "$(backend_status one admin) $(backend_status one admin_by)"
equal "weight" "3 hand" "$(backend_status two weight) $(backend_status two weight_by)"
equal "bans" "127.0.7.0/24 cheats" "$(admin /api/v1/bans | jq -r '.bans[] | "\(.network) \(.why)"')"
contains "a word about it" 'still set to drain by hand' portti.log
for _ in 1 2 3; do
    equal "who serves" "$(port_of two)" "$(client once "$(listener_port game)" | head -n 1)"
done

# On the way down without the wait for the next look.
order "/pools/game/backends/$(address_of one)/state" '{"state": "maintenance"}'
signal_portti TERM
await_exit 5
equal "exit code" 0 "$EXIT_CODE"
equal "state that was left" maintenance "$(jq -r '.state.backends[] | select(.admin != "ready") | .admin' state.json)"
again
equal "state" maintenance "$(backend_status one admin)"

# Cut off, as by a machine that lost its power.
signal_portti KILL
await_exit 2
truncate -s -10 state.json
cp state.json cut
: >portti.log
again
equal "state" ready "$(backend_status one admin)"
equal "bans" 0 "$(admin /api/v1/bans | jq '.bans | length')"
contains "a warning" '"WARN".*of no use' portti.log
cmp cut state.json.damaged-* || fail "it was not put aside as it was"
eventually '[ "$(jq .version state.json)" = 1 ]' 5
