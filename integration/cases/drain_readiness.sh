#!/usr/bin/env bash
# During a drain /readyz is 503 and /healthz 200; new sessions are taken in until shutdown_delay is over, and not after it.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_portti <<TOML
[server]
shutdown_delay = "2s"
$GAME
backends = ["$(address_of echo)"]
TOML

port=$(listener_port game)
echoes_once() {
    [ "$(client load "$port" --sessions 1 --rounds 1 | jq .failed)" = 0 ]
}
refused() {
    [ "$(client talk "$port" --send x --until 1 --patience 2 | jq -r .end)" = refused ]
}

equal "/readyz before" 200 "$(http_code /readyz)"
hold player "$port" 1

started=$(now_ms)
signal_portti TERM
eventually '[ "$(http_code /readyz)" = 503 ]' 1
equal "/healthz while draining" 200 "$(http_code /healthz)"
equal "state" draining "$(status .state)"
equal "portti_draining" 1 "$(metric portti_draining)"
echoes_once || fail "no new session during shutdown_delay"
[ $(($(now_ms) - started)) -lt 2000 ] || fail "the machine is too slow: shutdown_delay was over before this could be tried"

eventually refused 4
between "milliseconds until the listener closed" 1900 4000 $(($(now_ms) - started))
equal "/healthz with closed listeners" 200 "$(http_code /healthz)"
equal "/readyz with closed listeners" 503 "$(http_code /readyz)"
portti_lives || fail "portti did not wait for its session"

stop_client player
equal "failures of the session that was there before" 0 "$(report player .failed)"
await_exit 3
equal "exit code" 0 "$EXIT_CODE"
