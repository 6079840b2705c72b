#!/usr/bin/env bash
# More clients than descriptors: no busy loop, who is served stays served, and when clients leave others are taken in.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
MAX_FILES=256 start_portti <<TOML
$GAME
backends = ["$(address_of echo)"]
TOML
port=$(listener_port game)
contains "the warning with numbers" '256' portti.log

cpu_ticks() {
    # The second field is the program's name in brackets; utime and stime are the 12th and 13th after it.
    sed 's/.*) //' "/proc/$(portti_pid)/stat" | awk '{ print $12 + $13 }'
}

hold players "$port" 50
start_client crowd load "$port" --sessions 400 --patience 60 --progress crowd.progress
# Two descriptors a session, and some for portti itself: more than a hundred cannot be served.
eventually '[ "$(jq .open crowd.progress)" -ge 20 ]' 10
eventually '[ "$(find "/proc/$(portti_pid)/fd" | wc -l)" -ge 245 ]' 10

before=$(cpu_ticks)
still 2 'holding players 50'
spent=$(($(cpu_ticks) - before))
between "hundredths of a second of CPU in two seconds at the limit" 0 30 "$spent"
equal "failed players at the limit" 0 "$(jq .failed players.progress)"

stop_client crowd
eventually '[ "$(status .sessions_active)" = 50 ]' 10
between "accept errors counted" 1 1000000 "$(metric portti_accept_errors_total)"
equal "failed sessions after the crowd has left" 0 "$(client load "$port" --sessions 30 --rounds 3 | jq .failed)"
stop_client players
equal "failed players" 0 "$(report players .failed)"
