#!/usr/bin/env bash
# A real HAProxy behind portti sees the client's true address, by version 1 and 2 of the PROXY protocol; checks do not disturb it.
source "$(dirname "$0")/../lib.sh"

peer haproxy
start_backend echo echo
free_port >behind.port
cat >haproxy.cfg <<CFG
global
    log stdout format raw local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    log global
    log-format "true %ci:%cp"
    option dontlognull
listen game
    bind 127.0.0.1:$(port_of behind) accept-proxy
    server echo $(address_of echo)
CFG
start_peer haproxy -db -f haproxy.cfg
eventually 'listening "$(port_of behind)"' 10

config() {
    with_admin <<TOML
$GAME
backends = ["$(address_of behind)"]
send_proxy = "$1"
[pools.game.health]
type = "tcp"
interval = "200ms"
TOML
}

config v1 >portti.toml
launch_portti
await_started
for version in v1 v2; do
    config "$version" >portti.toml
    signal_portti HUP
    eventually '[ "$(status .config.last_reload.ok)" = true ]' 5
    sleep 0.5
    for address in 127.0.${version#v}.7 127.0.${version#v}.77 127.0.${version#v}.177; do
        equal "the echo" hello "$(client once "$(listener_port game)" --source "$address")"
        eventually "[ \"\$(grep -ac 'true $address:' haproxy.log)\" = 1 ]" 5
    done
    # Checks say that they come from nobody, so HAProxy has their connection's own address, and is well with it.
    eventually '[ "$(backend_status behind health)" = up ]' 5
done
equal "sessions" 6 "$(metric portti_sessions_total reason=client_closed)"
