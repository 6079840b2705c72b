#!/usr/bin/env bash
# Every way in which a session ends has its own word in the access log, and both sides are told in the same way.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_backend closing slow_backend --delay 0 --size 1000
start_backend resetting resetting --after 4
start_backend silent silent
start_backend gone echo
kill_backend gone

# listener NAME BACKEND [LINE]: a listener and its pool.
listener() {
    printf '[listeners.%s]\nbind = "127.0.0.1:0"\npool = "%s"\n[pools.%s]\nbackends = ["%s"]\n%s\n' \
        "$1" "$1" "$1" "$(address_of "$2")" "${3:-}"
}

{
    listener client_closed echo
    listener backend_closed closing
    listener client_reset echo
    listener backend_reset resetting
    listener idle_timeout echo 'idle_timeout = "600ms"'
    listener request_timeout silent 'request_timeout = "600ms"'
    listener max_lifetime echo 'max_lifetime = "600ms"'
    listener connect_failed gone 'breaker = { failures = 1 }'
} | start_portti

# ends NAME CLIENT_SEES LOW HIGH [OPTION...]: one session on that listener; its reason must be the listener's name.
ends() {
    local name=$1 sees=$2 low=$3 high=$4
    client talk "$(listener_port "$name")" --send $'hello\n' --patience 10 "${@:5}" >"$name.json"
    equal "what the client of $name saw" "$sees" "$(jq -r .end "$name.json")"
    between "seconds of $name" "$low" "$high" "$(jq .seconds "$name.json")"
    eventually "[ \"\$(access_log 'select(.listener == \"$name\") | .reason')\" = $name ]" 3
    equal "portti_sessions_total of $name" 1 "$(metric portti_sessions_total listener="$name" reason="$name")"
}

ends client_closed own 0 1 --until 6
ends backend_closed eof 0 1
ends client_reset own 0 1 --until 6 --reset
ends backend_reset reset 0 1
ends idle_timeout eof 0.5 1.5
ends request_timeout eof 0.5 1.5
ends max_lifetime eof 0.5 1.5
# A client that has said something would be told by a reset, because nobody has read it.
ends connect_failed eof 0 1 --send ""

# That failure has opened the circuit: the next client is sent away without a try.
client talk "$(listener_port connect_failed)" --patience 10 >no_backend.json
between "seconds of no_backend" 0 1 "$(jq .seconds no_backend.json)"
eventually '[ "$(access_log "select(.reason == \"no_backend\") | \"\(.listener) \(.attempts)\"")" = "connect_failed 0" ]' 3

# A limit of its own portti: the second session is one too many, until the first has left.
INSTANCE=small
{
    printf '[server]\nmax_connections = 1\n'
    listener game echo
} | start_portti
port=$(listener_port game)
hold player "$port" 1
equal "what one too many saw" eof "$(client talk "$port" --patience 10 | jq -r .end)"
eventually '[ "$(access_log .reason)" = at_capacity ]' 3
equal "/healthz at the limit" 200 "$(http_code /healthz)"
stop_client player
eventually '[ "$(status .sessions_active)" = 0 ]' 3
equal "failed sessions after that" 0 "$(client load "$port" --sessions 1 --rounds 1 | jq .failed)"
