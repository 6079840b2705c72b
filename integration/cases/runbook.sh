#!/usr/bin/env bash
# Every command of docs/runbook.md works, and tells something, while as much is wrong as can be at once; and the rules and the dashboard
# find their metrics there.
source "$(dirname "$0")/../lib.sh"
need_openssl

authority ca
certificate game ca game.example.com
start_backend echo echo
start_backend web web
start_backend gone echo
start_backend gone_too echo
kill_backend gone
kill_backend gone_too
TOKEN=$(openssl rand -hex 32)
start_portti <<TOML
[server]
max_connections = 100
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
accept_rate = "100/s"
[listeners.tls]
bind = "127.0.0.1:0"
pool = "game"
tls = { certificates = [{ cert = "game.pem", key = "game.key" }] }
[listeners.closed]
bind = "127.0.0.1:0"
pool = "game"
deny = ["127.0.0.0/8"]
[listeners.flaky]
bind = "127.0.0.1:0"
pool = "flaky"
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
routes = [{ path = "/dead", pool = "dead" }]
[pools.game]
backends = [{ address = "$(address_of echo)", max_connections = 10 }]
queue = { size = 10 }
[pools.flaky]
backends = ["$(address_of gone)"]
breaker = { failures = 1 }
[pools.panic]
backends = ["$(address_of gone)", "$(address_of gone_too)"]
breaker = { max_out = "50%" }
health = { type = "tcp", interval = "200ms", fall = 1 }
[pools.dead]
backends = ["$(address_of gone)"]
health = { type = "tcp", interval = "200ms", fall = 1 }
[pools.web]
backends = ["$(address_of web)"]
request_timeout = "2s"
TOML

url=http://127.0.0.1:$(listener_port web)
client talk "$(listener_port closed)" >closed.json
client talk "$(listener_port flaky)" >flaky.json
client talk "$(listener_port tls)" --send $'no TLS\n' >tls.json
equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 5 --rounds 1 | jq .failed)"
equal "an error of the server's" 500 "$(curl -s -o /dev/null -w '%{http_code}' "$url/status/500")"
equal "a pool without backends" 503 "$(curl -s -o /dev/null -w '%{http_code}' "$url/dead")"
equal "a slow answer" 200 "$(curl -s -o /dev/null -w '%{http_code}' "$url/slow/1.2")"
equal "a late answer" 504 "$(curl -s -o /dev/null -w '%{http_code}' "$url/slow/4")"
eventually '[ "$(metric portti_pool_panic pool=panic)" = 1 ]' 5
eventually '[ "$(status ".pools[] | select(.name == \"dead\") | .backends[0].health")" = down ]' 5
for reason in denied tls_failed; do
    eventually "[ \"\$(metric portti_sessions_total reason=$reason)\" = 1 ]" 3
    eventually "[ \"\$(access_log .reason | grep -c $reason)\" = 1 ]" 3
done
eventually '[ "$(request_log .status | wc -l)" = 4 ]' 3

# Commands as they stand there, but for the address and the program.
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$ROOT/docs/runbook.md" >commands
between "commands in the runbook" 20 100 "$(wc -l <commands)"
admin_address=$(cat portti.admin)
# What is said first, so that the others bring the token.
grep -E '^curl\(\) ' commands >first
equal "lines that give curl the token" 1 "$(wc -l <first)"
sed -i '/^curl() /d' commands
tried=0
while IFS= read -r command; do
    real=${command//localhost:9900/$admin_address}
    real=${real/#portti /$PORTTI }
    bash -euo pipefail -c "$(cat first); $real" >answer 2>&1 </dev/null || fail "$command: $(cat answer)"
    ! grep -q unauthorized answer || fail "does not bring the token: $command"
    [ -s answer ] || fail "says nothing: $command"
    ! grep -qx null answer || fail "says null: $command"
    tried=$((tried + 1))
done <commands
equal "commands tried" "$(wc -l <commands)" "$tried"
