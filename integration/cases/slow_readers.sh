#!/usr/bin/env bash
# Clients that read nothing from a server that sends without end: what portti holds for them is bounded, others go on.
source "$(dirname "$0")/../lib.sh"

start_backend flood flood
start_backend echo echo
start_portti <<TOML
[listeners.flood]
bind = "127.0.0.1:0"
pool = "flood"
[pools.flood]
backends = ["$(address_of flood)"]
$GAME
backends = ["$(address_of echo)"]
TOML

resident_kib() {
    awk '/^VmRSS/ { print $2 }' "/proc/$(portti_pid)/status"
}
flooded_bytes() {
    metric portti_bytes_total listener=flood direction=down
}

hold players "$(listener_port game)" 20
before=$(resident_kib)
start_client lazy no_reader "$(listener_port flood)" --sessions 100 --ready lazy.ready
eventually '[ -f lazy.ready ] && [ "$(status .sessions_active)" = 120 ]' 10

# The kernel's buffers fill, and then nothing moves any more.
stalled() {
    local bytes
    bytes=$(flooded_bytes)
    sleep 0.5
    [ "$bytes" -gt 0 ] && [ "$bytes" = "$(flooded_bytes)" ]
}
eventually stalled 20
# 64 KiB a direction may be held for each session, and as much again is lent to the allocator and the worker's buffers.
between "KiB grown with 100 stalled sessions" 0 25600 $(($(resident_kib) - before))

stop_client lazy
eventually '[ "$(status .sessions_active)" = 20 ]' 5
stop_client players
equal "failed players beside them" 0 "$(report players .failed)"
