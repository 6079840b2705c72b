#!/usr/bin/env bash
# SRV records tell hosts, ports, weights and backups.
source "$(dirname "$0")/../dns.sh"

start_backend heavy echo --host 0.0.0.0
start_backend light echo --host 0.0.0.0
start_backend spare echo --host 0.0.0.0
start_dns --host-record=one.test,127.0.0.2 --host-record=two.test,127.0.0.3 \
    --srv-host="_game._tcp.test,one.test,$(port_of heavy),10,3" \
    --srv-host="_game._tcp.test,two.test,$(port_of light),10,1" \
    --srv-host="_game._tcp.test,one.test,$(port_of spare),20,5"
start_named '"srv:_game._tcp.test"'
shown=$(status '.pools[0].backends[] | "\(.address) \(.weight) \(.backup)"' | sort)
expected=$(
    sort <<TEXT
_game._tcp.test=127.0.0.2:$(port_of heavy) 3 false
_game._tcp.test=127.0.0.3:$(port_of light) 1 false
_game._tcp.test=127.0.0.2:$(port_of spare) 5 true
TEXT
)
equal "backends" "$expected" "$shown"
hold players "$(listener_port game)" 8
of() {
    status ".pools[0].backends[] | select(.address | endswith(\":$(port_of "$1")\")) | .sessions_active"
}
equal "sessions by weight" "6 2 0" "$(of heavy) $(of light) $(of spare)"

kill_backend heavy
kill_backend light
eventually "[ \"\$(client load $(listener_port game) --sessions 4 --rounds 1 | jq .failed)\" = 0 ]" 10
