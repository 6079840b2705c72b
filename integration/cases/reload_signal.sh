#!/usr/bin/env bash
# SIGHUP loads the file, changed or not: new sessions go by the new one, and a session of before goes on.
source "$(dirname "$0")/../lib.sh"

start_backend old echo
start_backend new echo
config() {
    with_admin <<TOML
$GAME
backends = ["$(address_of "$1")"]
TOML
}

config old >portti.toml
launch_portti
await_started
equal "generation" 1 "$(status .config.generation)"
hold player "$(listener_port game)" 1

# Nothing has happened to the file, so it is the signal that counts here.
signal_portti HUP
eventually '[ "$(metric portti_config_reloads_total result=ok)" = 1 ]' 2
equal "last reload" true "$(status .config.last_reload.ok)"
equal "portti_config_last_reload_successful" 1 "$(metric portti_config_last_reload_successful)"

config new >portti.toml.new
mv portti.toml.new portti.toml
signal_portti HUP
eventually '[ "$(status ".pools[0].backends[].address")" = "$(address_of new)" ]' 2
client load "$(listener_port game)" --sessions 3 --rounds 1 >three.json
equal "failed new sessions" 0 "$(jq .failed three.json)"
equal "sessions on the new backend" 3 "$(backend_status new sessions_total)"

stop_client player
equal "failures of the session of before" 0 "$(report player .failed)"
