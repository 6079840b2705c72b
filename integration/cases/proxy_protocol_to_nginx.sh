#!/usr/bin/env bash
# A real nginx behind portti sees the client's true address, by version 1 and 2 of the PROXY protocol, for games and for the web.
source "$(dirname "$0")/../lib.sh"

peer nginx
start_backend echo echo
free_port >stream.port
free_port >web.port
NGINX_MAIN=$(
    cat <<CFG
stream {
    log_format true "stream \$proxy_protocol_addr";
    access_log $PWD/access.log true;
    server {
        listen $(address_of stream) proxy_protocol;
        proxy_pass $(address_of echo);
    }
}
CFG
)
start_nginx web <<CFG
    set_real_ip_from 127.0.0.0/8;
    real_ip_header proxy_protocol;
    log_format true "web \$remote_addr";
    server {
        listen $(address_of web) proxy_protocol;
        access_log $PWD/access.log true;
        location / { return 200 "well\n"; }
    }
CFG

config() {
    with_admin <<TOML
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[listeners.web]
bind = "127.0.0.1:0"
pool = "web"
[pools.game]
backends = ["$(address_of stream)"]
send_proxy = "$1"
[pools.web]
backends = ["$(address_of web)"]
send_proxy = "$1"
[pools.web.health]
type = "http"
interval = "200ms"
TOML
}

config v1 >portti.toml
launch_portti
await_started
for version in v1 v2; do
    config "$version" >portti.toml
    signal_portti HUP
    sleep 0.5
    : >access.log
    equal "the echo" hello "$(client once "$(listener_port game)" --source 127.0.0.7)"
    eventually "grep -qx 'stream 127.0.0.7' access.log" 5
    equal "the page" well "$(curl -sS --max-time 5 --interface 127.0.0.8 "http://127.0.0.1:$(listener_port web)/")"
    eventually "grep -qx 'web 127.0.0.8' access.log" 5
    eventually '[ "$(backend_status web health)" = up ]' 5
done
equal "sessions" 4 "$(metric portti_sessions_total reason=client_closed)"
