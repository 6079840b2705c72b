#!/usr/bin/env bash
# Clients that have not said what they had to when the time of a drain is over: portti ends, and each of them is in the log.
source "$(dirname "$0")/../lib.sh"
need_openssl

authority ca
certificate game ca game.example.com
start_backend one echo
start_portti <<TOML
[server]
drain_timeout = "1s"
[listeners.balanced]
bind = "127.0.0.1:0"
pool = "game"
accept_proxy = { from = ["127.0.0.0/8"] }
[listeners.secure]
bind = "127.0.0.1:0"
pool = "game"
[listeners.secure.tls]
certificates = [{ cert = "game.pem", key = "game.key" }]
[[listeners.named.sni]]
host = "game.example.com"
pool = "game"
[listeners.named]
bind = "127.0.0.1:0"
[pools.game]
backends = ["$(address_of one)"]
TOML

for listener in balanced secure named; do
    beginning='\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
    [ $listener != balanced ] || beginning='PROXY TCP4'
    start_client $listener never "$(listener_port $listener)" --sessions 50 --send "$beginning" --ready $listener.ready
    eventually "[ -e $listener.ready ]" 10
done
eventually '[ "$(status .sessions_active)" = 150 ]' 5
signal_portti TERM
await_exit 5
equal "exit code" 0 "$EXIT_CODE"
for listener in balanced secure named; do
    equal "lines of $listener" 50 "$(access_log "select(.listener == \"$listener\" and .reason == \"drained\") | .session" | sort -u | wc -l)"
done
