#!/usr/bin/env bash
# A real nginx behind portti that speaks TLS and asks for a certificate; checks included. And what goes wrong when it is another.
source "$(dirname "$0")/../lib.sh"
need_openssl
peer nginx

authority ca
authority stranger
certificate web ca web.internal
certificate portti ca portti
free_port >web.port
start_nginx web <<CFG
    server {
        listen $(address_of web) ssl;
        ssl_certificate $PWD/web.pem;
        ssl_certificate_key $PWD/web.key;
        ssl_client_certificate $PWD/ca.pem;
        ssl_verify_client optional;
        location / { return 200 "\$ssl_server_name \$ssl_client_verify \$ssl_client_s_dn\n"; }
    }
CFG

# config TLS_KEYS
config() {
    with_admin <<TOML
[listeners.web]
bind = "127.0.0.1:0"
pool = "web"
[pools.web]
backends = ["$(address_of web)"]
retries = 0
[pools.web.breaker]
failures = 1000
[pools.web.health]
type = "http"
interval = "200ms"
[pools.web.tls]
$1
TOML
}

# reload TLS_KEYS
reload() {
    local generation
    generation=$(status .config.generation)
    config "$1" >portti.toml
    signal_portti HUP
    eventually "[ \"\$(status .config.generation)\" -gt $generation ]" 5
}

page() {
    curl -sS --max-time 5 "http://127.0.0.1:$(listener_port web)/"
}

config 'ca = "ca.pem"
server_name = "web.internal"' >portti.toml
launch_portti
await_started
equal "without a certificate" "web.internal NONE " "$(page)"
eventually '[ "$(backend_status web health)" = up ]' 5

reload 'ca = "ca.pem"
server_name = "web.internal"
client_cert = "portti.pem"
client_key = "portti.key"'
equal "with one" "web.internal SUCCESS CN=portti" "$(page)"

# Somebody else signs, or it is called otherwise: no session, and the checks find it, too.
for keys in 'ca = "stranger.pem"' 'ca = "ca.pem"'; do
    reload "$keys"
    if page 2>/dev/null; then fail "a page by $keys"; fi
    eventually '[ "$(backend_status web health)" = down ]' 5
    contains "why" 'tls: invalid peer certificate' <(status '.pools[].backends[].last_check.error')
done
eventually '[ "$(metric portti_backend_failures_total reason=connect_failed)" -ge 1 ]' 5

reload 'verify = false'
eventually '[ "$(backend_status web health)" = up ]' 5
equal "whoever it is" " NONE " "$(page)"
