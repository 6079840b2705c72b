#!/usr/bin/env bash
# A backend dies and comes back under load: only its own sessions end, new ones go elsewhere unseen, its circuit recovers.
source "$(dirname "$0")/../lib.sh"

start_backend one echo
start_backend two echo
start_portti <<TOML
$GAME
backends = ["$(address_of one)", "$(address_of two)"]
retry_backoff = "10ms"
[pools.game.breaker]
open_for = "2s"
TOML
port=$(listener_port game)
one_port=$(port_of one)
hold players "$port" 20
on_one=$(backend_status one sessions_active)
between "players on the first backend" 8 12 "$on_one"

kill_backend one
eventually "holding players $((20 - on_one))" 3
start_client visitors load "$port" --sessions 20 --churn --pause 0.05 --progress visitors.progress
eventually '[ "$(backend_status one circuit)" = open ]' 5
equal "eligible" false "$(backend_status one eligible)"
eventually '[ "$(metric portti_backend_circuit_state backend="$(address_of one)")" = 1 ]' 1
equal "state of the other circuit" closed "$(backend_status two circuit)"
before=$(backend_status one sessions_total)

start_backend one echo --port "$one_port"
eventually '[ "$(backend_status one circuit)" = closed ]' 15
eventually '[ "$(backend_status one sessions_total)" -gt "$before" ]' 5

stop_client visitors
stop_client players
equal "players who lost their session" "$on_one" "$(report players .failed)"
equal "players who kept it" "$((20 - on_one))" "$(report players .completed)"
equal "failed visitors" 0 "$(report visitors .failed)"
between "visitors" 200 1000000 "$(report visitors .completed)"
between "connect retries" 5 1000000 "$(metric portti_connect_retries_total pool=game)"
between "openings counted" 1 20 "$(metric portti_backend_circuit_transitions_total backend="$(address_of one)" to=open)"
between "closings counted" 1 20 "$(metric portti_backend_circuit_transitions_total backend="$(address_of one)" to=closed)"
