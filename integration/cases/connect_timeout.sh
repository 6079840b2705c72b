#!/usr/bin/env bash
# The default connect_timeout of 5 s: alone it ends the session, with a good backend beside the bad one it only delays it.
source "$(dirname "$0")/../lib.sh"

start_backend hole black_hole
start_backend echo echo
start_portti <<TOML
[server]
workers = 1
[listeners.hole]
bind = "127.0.0.1:0"
pool = "hole"
[pools.hole]
backends = ["$(address_of hole)"]
retries = 0
[listeners.mixed]
bind = "127.0.0.1:0"
pool = "mixed"
[pools.mixed]
balance = "round_robin"
backends = ["$(address_of hole)", "$(address_of echo)"]
TOML

# Round robin sends some of six sessions to the black hole first; the player only sees that it takes longer.
start_client players load "$(listener_port mixed)" --sessions 6 --rounds 1 --patience 20
started=$(now_ms)
end=$(client talk "$(listener_port hole)" --send hello | jq -r '.end, .seconds' | paste -sd ' ')
read -r word seconds <<<"$end"
between "seconds until the end" 4.5 5.5 "$seconds"
[ "$word" = eof ] || [ "$word" = reset ] || fail "the session ended with '$word'"
equal "reason and attempts" "connect_failed 1" \
    "$(access_log 'select(.listener == "hole") | "\(.reason) \(.attempts)"')"

await_client players
between "milliseconds until the last player was through" 4500 6500 $(($(now_ms) - started))
equal "failed players" 0 "$(report players .failed)"
equal "players served" 6 "$(report players .completed)"
eventually '[ "$(access_log "select(.listener == \"mixed\")" | wc -l)" = 6 ]' 2
between "players who needed a second try" 1 5 "$(access_log 'select(.listener == "mixed" and .attempts == 2)' | wc -l)"
between "portti_connect_retries_total" 1 5 "$(metric portti_connect_retries_total pool=mixed)"
