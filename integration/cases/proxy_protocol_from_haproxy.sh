#!/usr/bin/env bash
# Behind a real HAProxy and a real nginx, portti goes by the address that they tell: in its log, for its limits, and in what it tells
# on. Their health checks are no errors.
source "$(dirname "$0")/../lib.sh"

peer haproxy
start_backend echo echo
start_portti <<TOML
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
deny = ["127.0.0.66"]
accept_proxy = { from = ["127.0.0.1"] }
[pools.game]
backends = ["$(address_of echo)"]
TOML
for name in v1 v2 nginx; do free_port >$name.port; done
cat >haproxy.cfg <<CFG
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen one
    bind $(address_of v1)
    server portti 127.0.0.1:$(listener_port game) send-proxy check inter 200ms
listen two
    bind $(address_of v2)
    server portti 127.0.0.1:$(listener_port game) send-proxy-v2 check inter 200ms
CFG
start_peer haproxy -db -f haproxy.cfg
peer nginx
NGINX_MAIN=$(
    cat <<CFG
stream {
    server {
        listen $(address_of nginx);
        proxy_pass 127.0.0.1:$(listener_port game);
        proxy_protocol on;
    }
}
CFG
)
start_nginx nginx </dev/null

played=0
for name in v1 v2 nginx; do
    eventually "listening $(port_of $name)" 10
    for last in 7 77; do
        equal "the echo through $name" hello "$(client once "$(port_of $name)" --source "127.0.0.$last")"
        played=$((played + 1))
        seen="[.client, .peer] | map(split(\":\")[0]) | join(\" \")"
        eventually "[ \"\$(access_log '$seen' | grep -cx '127.0.0.$last 127.0.0.1')\" = $(((played + 1) / 2)) ]" 5
    done
    equal "who is denied" "" "$(client once "$(port_of $name)" --source 127.0.0.66 2>/dev/null || true)"
done
eventually '[ "$(metric portti_sessions_total reason=denied)" = 3 ]' 5
equal "headers that were none" 0 "$(metric portti_sessions_total reason=preread_invalid)"
equal "headers that never came" 0 "$(metric portti_sessions_total reason=preread_timeout)"

# Nobody else may say who it is.
equal "a stranger" "" "$(client once "$(listener_port game)" --source 127.0.0.2 \
    --send $'PROXY TCP4 127.0.0.7 127.0.0.1 1 2\r\nhello\n' 2>/dev/null || true)"
eventually '[ "$(metric portti_sessions_total reason=preread_invalid)" = 1 ]' 5
