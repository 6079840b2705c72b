#!/usr/bin/env bash
# An answer that takes 3 s lives through SIGTERM; one that takes 35 s is given up after the default request_timeout of 30 s, with 504.
source "$(dirname "$0")/../lib.sh"

start_backend slow web
start() {
    INSTANCE=$1 start_portti <<TOML
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
[pools.web]
backends = ["$(address_of slow)"]
TOML
}

# ask SECONDS NAME: in the background.
ask() {
    curl -sS --max-time 60 -o "$2.body" -w '%{http_code} %{time_total}\n' "http://127.0.0.1:$(listener_port web)/slow/$1" \
        >"$2.said" 2>&1 &
    asked=$!
    eventually "grep -qx 'begin GET /slow/$1' slow.log" 5
}

start patient
INSTANCE=patient
ask 35 late
late=$asked

start stopped
INSTANCE=stopped
ask 3 drained
signal_portti TERM
eventually '[ "$(status .state)" = draining ]' 2
portti_lives || fail "portti did not wait for its request"
wait "$asked" || fail "the request was broken off: $(cat drained.said)"
await_exit 3
equal "exit code" 0 "$EXIT_CODE"
equal "the answer" "after 3 s" "$(cat drained.body)"
read -r code seconds <drained.said
equal "its status" 200 "$code"
between "seconds for it" 2.9 4 "$seconds"

INSTANCE=patient
wait "$late" || fail "no answer: $(cat late.said)"
read -r code seconds <late.said
equal "status of the late one" 504 "$code"
between "seconds for it" 29 31 "$seconds"
equal "reason" request_timeout "$(jq -r .reason late.body)"
eventually '[ -n "$(request_log .reason)" ]' 2
equal "reason in the log" "504 request_timeout" "$(request_log '"\(.status) \(.reason)"')"
equal "failures counted against the backend" 1 "$(metric portti_backend_failures_total reason=request_timeout)"
