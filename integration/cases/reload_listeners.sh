#!/usr/bin/env bash
# A reload adds and moves listeners; where one address cannot be had, nothing of the new file is applied.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_backend other echo
# config BACKEND [EXTRA_ADDRESS]: loaded when it stands in its place, in one step.
config() {
    with_admin >portti.toml.new <<TOML
$GAME
backends = ["$(address_of "$1")"]
${2:+[listeners.extra]
bind = \"$2\"
pool = \"game\"}
TOML
    mv portti.toml.new portti.toml
}
refused() {
    [ "$(client talk "$1" --send x --until 1 --patience 1 | jq -r .end)" = refused ]
}

config echo
launch_portti
await_started
game=$(listener_port game)
hold player "$game" 1

# The address of a backend is taken. The file has a second change, which must not be applied either.
config other "$(address_of echo)"
eventually '[ "$(status .config.last_reload.ok)" = false ]' 2
status .config.last_reload.error >error.txt
contains "the status" "$(address_of echo)" error.txt
equal "generation" 1 "$(status .config.generation)"
equal "listeners" game "$(status '.listeners[].name')"
equal "backends" "$(address_of echo)" "$(status '.pools[0].backends[].address')"
equal "failed sessions" 0 "$(client load "$game" --sessions 2 --rounds 1 | jq .failed)"

first=$(free_port)
config other "127.0.0.1:$first"
eventually '[ "$(status .config.last_reload.ok)" = true ]' 2
equal "port of the new listener" "$first" "$(listener_port extra)"
hold guest "$first" 1
equal "sessions of the new listener" 1 "$(status '.listeners[] | select(.name == "extra") | .sessions_active')"

second=$(free_port)
config other "127.0.0.1:$second"
eventually "refused $first" 3
equal "failed sessions on the new port" 0 "$(client load "$second" --sessions 2 --rounds 1 | jq .failed)"
equal "port of the listener beside it" "$game" "$(listener_port game)"

stop_client guest
stop_client player
equal "failures of the session on the old port" 0 "$(report guest .failed)"
equal "failures of the session of before" 0 "$(report player .failed)"
