#!/usr/bin/env bash
# A hundred reloads, each of which sends requests elsewhere than the one before, while wrk asks: every request is answered well.
# runs alone
source "$(dirname "$0")/../lib.sh"
need wrk wrk
peer nginx

for name in a b; do free_port >$name.port; done
start_nginx a <<CFG
    server { listen $(address_of a); location / { return 200 "a\n"; } }
    server { listen $(address_of b); location / { return 200 "b\n"; } }
CFG

# config KEYS POOL: a listener with these keys, and a pool `web`.
config() {
    with_admin <<TOML >portti.new
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
$1
[pools.web]
$2
[pools.other]
backends = ["$(address_of b)"]
TOML
    mv portti.new portti.toml
}
route='[[listeners.web.routes]]
path = "/"
pool = "other"'

# Requests go to a, by a route to b, to a, to b.
version() {
    case $(($1 % 4)) in
        0) config 'pool = "web"' "backends = [\"$(address_of a)\", { address = \"$(address_of b)\", weight = 0 }]" ;;
        1) config "pool = \"web\"
header_timeout = \"5s\"
$route" "backends = [\"$(address_of a)\"]" ;;
        2) config "pool = \"web\"
keepalive_timeout = \"5s\"" "backends = [\"$(address_of a)\"]
request_timeout = \"5s\"" ;;
        3) config 'pool = "web"' "backends = [\"$(address_of b)\", { address = \"$(address_of a)\", weight = 0 }]" ;;
    esac
}
answer() {
    curl -sS --max-time 5 "http://127.0.0.1:$port/"
}

version 0
launch_portti
await_started
port=$(listener_port web)
wrk --threads 1 --connections 32 --duration 100 --timeout 10 "http://127.0.0.1:$port/" >wrk.out 2>&1 &
load=$!
eventually '[ "$(metric portti_requests_total)" -gt 1000 ]' 5
for round in $(seq 100); do
    version "$round"
    signal_portti HUP
    expected=$([ $((round % 2)) = 0 ] && echo a || echo b)
    eventually "[ \"\$(answer)\" = $expected ]" 5
done
# The file is followed, too, and an edit may be seen twice.
between "generation" 101 201 "$(status .config.generation)"
equal "what became of the last" 1 "$(metric portti_config_last_reload_successful)"
kill -INT $load
wait $load || fail "$(cat wrk.out)"
check_wrk wrk.out
echo "$WRK_REQUESTS requests during 100 reloads"
equal "answers other than 2xx" 0 $(($(metric portti_requests_total code_class=4xx) + $(metric portti_requests_total code_class=5xx)))
