#!/usr/bin/env bash
# The admin address answers as the contract says, also while no backend is left.
source "$(dirname "$0")/../lib.sh"

start_backend one echo
start_backend two echo
start_portti <<TOML
[server]
max_connections = 500
$GAME
retries = 1
backends = ["$(address_of one)", { address = "$(address_of two)", weight = 2, backup = true }]
breaker = { failures = 1, open_for = "60s", max_ejected = "100%" }
TOML
port=$(listener_port game)

for path in /healthz /startupz /readyz /health/deep /metrics /api/v1/status; do
    equal "$path" 200 "$(http_code $path)"
done
equal "/no-such-path" 404 "$(http_code /no-such-path)"

admin /api/v1/status >status.json
# expect_json FILE JQ VALUE
expect_json() {
    equal "$2 of $1" "$3" "$(jq -rc "$2" "$1")"
}
expect_json status.json '.state, .service_level, .sessions_active, .max_connections | tostring' $'running\nfull\n0\n500'
expect_json status.json '.config | .path, (.generation | tostring), (.last_reload | has("at", "ok", "error") | tostring)' \
    $'portti.toml\n1\ntrue\ntrue\ntrue'
expect_json status.json '.listeners[0] | [.name, .mode, .pool, .sessions_active, .sessions_total]' '["game","tcp","game",0,0]'
expect_json status.json '.pools[0] | [.name, .balance]' '["game","least_connections"]'
expect_json status.json '.pools[0].backends[1] | [.address, .weight, .backup, .admin, .circuit, .eligible]' \
    "[\"$(address_of two)\",2,true,\"ready\",\"closed\",true]"
expect_json status.json '.pools[0].backends[1] | [.sessions_active, .sessions_total, .failures_total]' '[0,0,0]'
case $(jq -r '.pools[0].backends[0].health' status.json) in up | down | unknown) ;; *) fail "no known health" ;; esac

admin /health/deep >deep.json
expect_json deep.json '[.status, .checks.config, .checks["pool:game"]]' '["ok","ok","ok"]'
expect_json deep.json '.version' "$(jq -r .version status.json)"
between "uptime_seconds" 0 60 "$(jq .uptime_seconds deep.json)"

# The first backend dies: the backup serves, and the pool is degraded.
kill_backend one
equal "failed sessions on the backup" 0 "$(client load "$port" --sessions 1 --rounds 1 | jq .failed)"
expect_backends() {
    admin /health/deep >deep.json
    [ "$(jq -r '.checks["pool:game"]' deep.json)" = "$1: $2 of 2 backends eligible" ]
}
eventually 'expect_backends degraded 1' 2
expect_json deep.json .status degraded
equal "/readyz with one backend" 200 "$(http_code /readyz)"

# The second one too: nobody is left.
kill_backend two
client load "$port" --sessions 1 --rounds 1 >/dev/null
eventually 'expect_backends down 0' 2
expect_json deep.json .status down
equal "/health/deep without a backend" 503 "$(http_code /health/deep)"
equal "/readyz without a backend" 503 "$(http_code /readyz)"
equal "/healthz without a backend" 200 "$(http_code /healthz)"
