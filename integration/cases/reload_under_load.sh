#!/usr/bin/env bash
# Twenty reloads, each of them changing the pool, while sessions come, go and stay: none is refused, cut or mixed up.
source "$(dirname "$0")/../lib.sh"

start_backend a echo
start_backend b echo
config() {
    with_admin <<TOML
$GAME
backends = [$1]
TOML
}

config "\"$(address_of a)\"" >portti.toml
launch_portti
await_started
port=$(listener_port game)
hold players "$port" 30
start_client visitors load "$port" --sessions 20 --churn --pause 0.02 --progress visitors.progress

for round in $(seq 2 21); do
    if [ $((round % 2)) = 0 ]; then
        config "\"$(address_of a)\", \"$(address_of b)\"" >portti.toml
    else
        config "\"$(address_of b)\"" >portti.toml
    fi
    # An edit in place may be seen twice, half written and whole: what counts is that the last one is applied.
    backends=$((round % 2 == 0 ? 2 : 1))
    eventually "[ \"\$(status '.pools[0].backends | length')\" = $backends ]" 3
done
between "generation" 21 41 "$(status .config.generation)"

stop_client players
stop_client visitors
equal "failed players" 0 "$(report players .failed)"
equal "players" 30 "$(report players .completed)"
equal "failed visitors" 0 "$(report visitors .failed)"
between "visitors" 500 1000000 "$(report visitors .completed)"
