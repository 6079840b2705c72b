#!/usr/bin/env bash
# What a new file no longer names drains: its sessions go on, new ones are not taken in. Fixed settings keep their value.
source "$(dirname "$0")/../lib.sh"

start_backend stays echo
start_backend leaves echo
with_admin >portti.toml <<TOML
[server]
workers = 1
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[listeners.extra]
bind = "127.0.0.1:0"
pool = "game"
[pools.game]
backends = ["$(address_of leaves)"]
TOML
launch_portti
await_started
game=$(listener_port game)
extra=$(listener_port extra)
hold on_backend "$game" 2
hold on_listener "$extra" 2

with_admin >portti.toml <<TOML
[server]
workers = 2
$GAME
backends = ["$(address_of stays)"]
TOML
eventually '[ "$(status ".listeners[].name")" = game ]' 3
equal "last reload" true "$(status .config.last_reload.ok)"
equal "port of the listener that stays" "$game" "$(listener_port game)"
eventually '[ "$(client talk "$extra" --send x --until 1 --patience 1 | jq -r .end)" = refused ]' 2
equal "failed new sessions" 0 "$(client load "$game" --sessions 3 --rounds 1 | jq .failed)"
equal "sessions on the new backend" 3 "$(backend_status stays sessions_total)"
removed="portti_backend_sessions_active{pool=\"game\",backend=\"$(address_of leaves)\"}"
equal "sessions of the removed backend" "$removed 4" "$(admin /metrics | grep -F "$removed")"
equal "the same in the status" "$(address_of leaves) 4" "$(status '.removed_backends[] | "\(.address) \(.sessions_active)"')"
contains "the log names what needs a restart" 'workers' portti.log

stop_client on_backend
stop_client on_listener
equal "failures on the removed backend" 0 "$(report on_backend .failed)"
equal "failures on the removed listener" 0 "$(report on_listener .failed)"
eventually '! admin /metrics | grep "^portti_" | grep -q "$(address_of leaves)"' 3
equal "removed backends with sessions" 0 "$(status '.removed_backends | length')"
