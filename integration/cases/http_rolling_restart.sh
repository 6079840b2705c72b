#!/usr/bin/env bash
# Four times a new portti takes over the address of an old one (reuse_port), which is told to stop and drains, while a hundred clients
# ask on connections that they keep: every request is answered, and none is sent twice.
source "$(dirname "$0")/../lib.sh"
peer nginx

free_port >web.port
start_nginx web <<CFG
    keepalive_requests 1000000;
    server { listen $(address_of web); location / { return 200 "welcome\n"; } }
CFG
free_port >front.port

# start_front NAME
start_front() {
    INSTANCE=$1
    start_portti <<TOML
[server]
drain_timeout = "10s"
[listeners.web]
bind = "$(address_of front)"
mode = "http"
pool = "web"
reuse_port = true
[pools.web]
backends = ["$(address_of web)"]
TOML
}

start_front portti0
start_client clients keepalive "$(port_of front)" --clients 80 --progress clients.progress
# And some who come and go, so that there is always somebody who is just connecting.
start_client visitors keepalive "$(port_of front)" --clients 20 --requests 3 --pause 0.002
answered() {
    cat clients.progress
}
eventually '[ "$(answered)" -gt 1000 ]' 10

for swap in 1 2 3 4; do
    start_front "portti$swap"
    before=$(answered)
    INSTANCE=portti$((swap - 1))
    stopped=$(now_ms)
    signal_portti TERM
    await_exit 10
    echo "swap $swap: the old one ended after $(($(now_ms) - stopped)) ms"
    equal "exit code of the old one" 0 "$EXIT_CODE"
    equal "sessions of the old one that were cut" 0 "$(access_log 'select(.reason == "drained") | .session' | wc -l)"
    # The clients of the old one go on with the new one.
    eventually "[ \"\$(answered)\" -gt $((before + 1000)) ]" 10
done
for name in clients visitors; do
    stop_client $name
    echo "$name: $(report $name '"\(.answered) requests on \(.connections) connections, \(.failed) failed"')"
done
# Who is in the middle of connecting to a socket that is closed is reset by the kernel, unless it moves them to the next one. That is
# rare, happens before anything is sent, and is not portti's to prevent: see docs/operations.md.
refused=$(($(report clients .refused) + $(report visitors .refused)))
most=$([ "$(cat /proc/sys/net/ipv4/tcp_migrate_req)" = 1 ] && echo 0 || echo 4)
between "connects that were reset" 0 "$most" "$refused"
equal "requests that failed" 0 $(($(report clients .failed) + $(report visitors .failed) - refused))
