#!/usr/bin/env bash
# The end of one direction leaves the other one open: answers that come 2 s after the client's end arrive, and the reverse.
source "$(dirname "$0")/../lib.sh"

start_backend late late_reply
start_backend first ends_first
start_portti <<TOML
[listeners.late]
bind = "127.0.0.1:0"
pool = "late"
[pools.late]
backends = ["$(address_of late)"]
[listeners.first]
bind = "127.0.0.1:0"
pool = "first"
[pools.first]
backends = ["$(address_of first)"]
TOML

client talk "$(listener_port late)" --send-bytes 100000 --half-close >late.json
equal "end" eof "$(jq -r .end late.json)"
equal "answer" "100000 $(jq -r .sent_sha256 late.json)" "$(jq -r '.received | rtrimstr("\n")' late.json)"
between "seconds" 1.9 3 "$(jq .seconds late.json)"

client talk "$(listener_port first)" --read-first --send-bytes 100000 >first.json
equal "greeting" goodbye "$(jq -r '.received | rtrimstr("\n")' first.json)"
eventually 'grep -q "received 100000" first.log' 3

eventually '[ "$(access_log .reason | wc -l)" = 2 ]' 2
equal "bytes" "late 100000, first 100000" \
    "$(access_log '"\(.listener) \(.bytes_up)"' | sort -r | paste -sd, | sed 's/,/, /')"
