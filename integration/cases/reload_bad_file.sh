#!/usr/bin/env bash
# A bad file changes nothing that runs; the log, the status, the metrics and the deep check say what is wrong, and where.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
config() {
    with_admin <<TOML
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"

[pools.game]
backends = ["$(address_of echo)"]
$1
TOML
}

config 'retries = 1' >portti.toml
launch_portti
await_started
port=$(listener_port game)
hold player "$port" 1

# What stands in line 7, and what must be said about it.
for bad in 'blance = "maglev"|did you mean .?"?balance' 'connect_timeout = "5 parsecs"|connect_timeout' 'retries = |7:'; do
    config "${bad%%|*}" >portti.toml
    eventually '[ "$(status .config.last_reload.ok)" = false ]' 2
    status .config.last_reload.error >error.txt
    contains "the status" 'portti\.toml:7:[0-9]+' error.txt
    contains "the status" "${bad##*|}" error.txt
    contains "the log" 'portti\.toml:7:[0-9]+' portti.log
    equal "portti_config_last_reload_successful" 0 "$(metric portti_config_last_reload_successful)"
    admin /health/deep >deep.json
    equal "deep check" degraded "$(jq -r .status deep.json)"
    [ "$(jq -r .checks.config deep.json)" != ok ] || fail "the deep check calls the config ok"
    equal "/readyz" 200 "$(http_code /readyz)"

    equal "port of the listener" "$port" "$(listener_port game)"
    equal "failed new sessions" 0 "$(client load "$port" --sessions 2 --rounds 1 | jq .failed)"

    # Back to a good file, so that the next bad one is a new event.
    config 'retries = 1' >portti.toml
    eventually '[ "$(status .config.last_reload.ok)" = true ]' 2
    equal "portti_config_last_reload_successful" 1 "$(metric portti_config_last_reload_successful)"
    equal "deep check with a good file" ok "$(admin /health/deep | jq -r .checks.config)"
done

stop_client player
equal "failures of the session through all of it" 0 "$(report player .failed)"
