#!/usr/bin/env bash
# Every command of docs/runbook.md works, and tells something, while as much is wrong as can be at once; and what it says that an order
# does is what happens.
source "$(dirname "$0")/../lib.sh"
need_openssl

authority ca
certificate game ca game.example.com
start_backend echo echo
start_backend second echo
start_backend web web
start_backend gone echo
start_backend gone_too echo
kill_backend gone
kill_backend gone_too
TOKEN=$(openssl rand -hex 32)
start_portti <<TOML
[server]
max_connections = 100
[state]
file = "missing/state.json"
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
backends = [{ address = "$(address_of echo)", max_connections = 10 }, { address = "$(address_of second)", max_connections = 10 }]
queue = { size = 10 }
[pools.flaky]
backends = ["$(address_of gone)"]
breaker = { failures = 1 }
[pools.panic]
backends = ["$(address_of gone)", "$(address_of gone_too)"]
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

# The token as the runbook has it brought.
eval "$(grep -o 'export PORTTI_TOKEN=[^`]*' "$ROOT/docs/runbook.md")"
equal "the token" "$TOKEN" "$PORTTI_TOKEN"
export PORTTI_ADMIN
PORTTI_ADMIN=$(cat portti.admin)

# Those who will leave play on one backend, those who stay on the other.
game=$(listener_port game)
"$PORTTI" weight game "$(address_of second)" 0 >/dev/null
hold leavers "$game" 3
"$PORTTI" weight game "$(address_of second)" file >/dev/null
"$PORTTI" weight game "$(address_of echo)" 0 >/dev/null
hold stayers "$game" 2
"$PORTTI" weight game "$(address_of echo)" file >/dev/null
equal "who plays where" "3 2" "$(backend_status echo sessions_active) $(backend_status second sessions_active)"

# run LINE: as it stands there, but for the program, the addresses, and the backend.
run() {
    local line=$1
    line=${line//localhost:9900/$PORTTI_ADMIN}
    line=${line//10.0.0.11:25565/$(address_of echo)}
    line=${line//203.0.113.0/127.0.9.0}
    timeout 30 bash -euo pipefail -c "${line/#portti /$PORTTI }" >answer 2>&1 </dev/null
}

# fails CODE LINE: a line that has to say no.
fails() {
    local code=0
    run "$2" || code=$?
    equal "exit code of $2" "$1" "$code"
}

# let_in [ADDRESS]: whether a newcomer from there is.
let_in() {
    [ "$(client once "$game" ${1:+--source "$1"} 2>/dev/null)" = hello ]
}

# avoided: whether newcomers go to the other backend.
avoided() {
    local before
    before=$(backend_status echo sessions_total)
    for _ in 1 2 3; do let_in || fail "a newcomer is not let in"; done
    equal "newcomers on it" "$before" "$(backend_status echo sessions_total)"
}

only_banned_stay_out() {
    let_in || fail "somebody else is kept out, too"
    ! let_in 127.0.9.1 || fail "who is banned is let in"
}

# last_leave LINE: it waits as long as somebody plays there, and not longer.
last_leave() {
    run "$1" &
    local waiter=$!
    eventually 'grep -q "3 of 3 sessions left" answer' 10
    avoided
    kill -0 "$waiter" || fail "did not wait: $(cat answer)"
    stop_client leavers
    wait "$waiter" || fail "$1: $(cat answer)"
    equal "failures of those who left by themselves" 0 "$(report leavers .failed)"
}

# kept LINE: whether an order has done what the runbook says; false for a line that only looks.
kept() {
    case $1 in
        "portti sessions --backend"*) equal "who plays there" 3 "$(grep -c "game *$(address_of echo)" answer)" ;;
        "portti drain"*) equal "its state" "drain 0" "$(backend_status echo admin) $(backend_status echo sessions_active)" ;;
        "portti maintenance"*) equal "its state" maintenance "$(backend_status echo admin)" && avoided ;;
        "portti ready"*) equal "whether it takes players" true "$(backend_status echo eligible)" ;;
        "portti weight"*" 0 "*) equal "whether it could take players" true "$(backend_status echo eligible)" && avoided ;;
        "portti weight"*" file "*) equal "its weight" "1 file" "$(backend_status echo weight) $(backend_status echo weight_by)" ;;
        "portti listener"*" maintenance "*) ! let_in || fail "the door is open" ;;
        "portti listener"*" file "*) let_in || fail "the door is closed" ;;
        "portti ban "*) only_banned_stay_out ;;
        "portti bans") contains "bans" '^127\.0\.9\.0/24 .*flood' answer ;;
        "portti unban"*) let_in 127.0.9.1 || fail "who is no longer banned stays out" ;;
        "portti log-level debug"*) equal "the level" "debug hand" "$(status '"\(.log.level) \(.log.by)"')" ;;
        "portti log-level file"*) equal "the level" "info file" "$(status '"\(.log.level) \(.log.by)"')" ;;
        "portti config diff"*) diff_codes "$1" ;;
        "portti reload"*) reload_codes "$1" ;;
        *) return 1 ;;
    esac
}

# An edit that touches those who play, and one that would be refused; the first one was for nobody.
diff_codes() {
    sed "s/{ address = \"$(address_of second)\", max_connections = 10 }//" portti.toml >new.toml
    fails 3 "$1"
    contains "how many" '^affected: 2 live sessions$' answer
    echo nonsense >new.toml
    fails 2 "$1"
}

# Why a file is not taken stands in the status, until one is.
reload_codes() {
    cp portti.toml good.toml
    sed 's/^pool = "flaky"/pool = "falky"/' good.toml >portti.toml
    fails 2 "$1"
    contains "the reason" 'portti\.toml:[0-9]+:' answer
    run "portti status"
    contains "the reason in the status" 'portti\.toml:[0-9]+:' answer
    cp good.toml portti.toml
    run "$1"
}

sed 's/^request_timeout = .*/request_timeout = "3s"/' portti.toml >new.toml
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$ROOT/docs/runbook.md" >commands
between "commands in the runbook" 20 100 "$(wc -l <commands)"
tried=0 orders=0
while IFS= read -r line <&3; do
    case $line in
        *--wait*) last_leave "$line" ;;
        *) run "$line" || fail "$line: $(cat answer)" ;;
    esac
    [ -s answer ] || fail "says nothing: $line"
    ! grep -qx null answer || fail "says null: $line"
    if kept "$line"; then orders=$((orders + 1)); fi
    tried=$((tried + 1))
done 3<commands
equal "commands tried" "$(wc -l <commands)" "$tried"
equal "orders and previews tried" 15 "$orders"
stop_client stayers
equal "failures of those who played on" 0 "$(report stayers .failed)"

# Those within sentences have places for names; that they are commands of portti's is all that can be said.
grep -o '`portti [^`]*`' "$ROOT/docs/runbook.md" | tr -d '`' | sort -u >sentences
between "commands within sentences" 10 100 "$(wc -l <sentences)"
while read -r -a words; do
    "$PORTTI" "${words[@]:1}" --help >answer 2>&1 || fail "${words[*]}: $(cat answer)"
done <sentences
