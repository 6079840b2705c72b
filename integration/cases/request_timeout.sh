#!/usr/bin/env bash
# The default request_timeout of 30 s ends a session whose backend takes 35 s; "off" lets the answer through.
source "$(dirname "$0")/../lib.sh"

start_backend sleepy slow_backend --delay 35
start_portti <<TOML
[listeners.limited]
bind = "127.0.0.1:0"
pool = "limited"
[pools.limited]
backends = ["$(address_of sleepy)"]
[listeners.unlimited]
bind = "127.0.0.1:0"
pool = "unlimited"
[pools.unlimited]
backends = ["$(address_of sleepy)"]
request_timeout = "off"
TOML

start_client patient ask "$(listener_port unlimited)"
# A player who says nothing asks nothing of the backend: no request, no timeout.
start_client quiet talk "$(listener_port limited)" --patience 33

client talk "$(listener_port limited)" --send $'hello\n' >limited.json
between "seconds until the end" 29 31 "$(jq .seconds limited.json)"
equal "bytes received" 0 "$(jq .received_bytes limited.json)"
eventually '[ -n "$(access_log .reason)" ]' 2
equal "reason" request_timeout "$(access_log .reason)"
equal "failures counted against the backend" 1 \
    "$(metric portti_backend_failures_total pool=limited reason=request_timeout)"

await_client quiet
equal "end of the quiet player" silence "$(report quiet .end)"
await_client patient
equal "whole answers without a limit" 1 "$(report patient .whole)"
between "seconds for them" 34.5 37 "$(report patient .slowest)"
