#!/usr/bin/env bash
# Servers that close their connections behind every few requests, just when portti would use them again: no client notices. And one that
# is killed and comes back while it is asked: what was under way there fails with 502 and no other, and others' answers are whole.
# runs alone
source "$(dirname "$0")/../lib.sh"
need wrk wrk
peer nginx

free_port >web.port
start_nginx web <<CFG
    keepalive_requests 7;
    server { listen $(address_of web); location / { return 200 "welcome\n"; } }
CFG
start_backend abrupt web --requests 3
start_backend one web
start_backend other web
start_portti <<TOML
[listeners.nginx]
bind = "127.0.0.1:0"
mode = "http"
pool = "nginx"
[listeners.abrupt]
bind = "127.0.0.1:0"
mode = "http"
pool = "abrupt"
[listeners.both]
bind = "127.0.0.1:0"
mode = "http"
pool = "both"
[pools.nginx]
backends = ["$(address_of web)"]
[pools.abrupt]
backends = ["$(address_of abrupt)"]
[pools.both]
backends = ["$(address_of one)", "$(address_of other)"]
breaker = { open_for = "500ms" }
TOML

# nginx says that it closes; web.py closes without a word.
for pool in nginx abrupt; do
    run_wrk "http://127.0.0.1:$(listener_port $pool)/" 32 3
    echo "$pool: $WRK_REQUESTS requests on $(metric portti_backend_sessions_total pool=$pool) connections"
    equal "answers of $pool other than 2xx" 0 $(($(metric portti_requests_total listener=$pool code_class=4xx) + $(metric portti_requests_total listener=$pool code_class=5xx)))
    equal "failures counted against $pool" 0 "$(metric portti_backend_failures_total pool=$pool)"
done

# Killed and started again, while the other one stays.
wrk --threads 2 --connections 32 --duration 100 --timeout 10 "http://127.0.0.1:$(listener_port both)/" >wrk.out 2>&1 &
load=$!
of_one() {
    metric portti_backend_sessions_total pool=both "backend=$(address_of one)"
}
answered() {
    metric portti_requests_total listener=both code_class=2xx
}
for round in 1 2 3; do
    before=$(answered)
    eventually "[ \"\$(answered)\" -gt $((before + 300)) ]" 10
    port=$(port_of one)
    kill_backend one
    before=$(answered)
    # Those that are left serve everybody.
    eventually "[ \"\$(answered)\" -gt $((before + 300)) ]" 10
    before=$(of_one)
    start_backend one web --port "$port"
    eventually "[ \"\$(of_one)\" -gt $before ]" 10
done
kill -INT $load
wait $load || fail "$(cat wrk.out)"
eventually '[ "$(metric portti_requests_in_flight)" = 0 ]' 5
request_log 'select(.listener == "both" and (.status // 200) != 200) | "\(.status) \(.reason)"' | sort | uniq -c >errors
cat errors
contains "requests" ' requests in ' wrk.out
# What was under way on a connection that broke: no more than there were, each time.
between "requests that a killed server has broken off" 0 96 "$(awk '{ sum += $1 } END { print sum + 0 }' errors)"
if grep -Ev '^ *[0-9]+ 502 backend_reset$' errors; then fail "answers for another reason"; fi
# An answer may have broken off behind its head.
sed -n 's/.*Socket errors: //p' wrk.out
if grep 'Socket errors' wrk.out | grep -Evq 'connect 0, read [1-9][0-9]?, write 0, timeout 0'; then fail "connections of clients broke"; fi
