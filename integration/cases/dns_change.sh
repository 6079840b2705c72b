#!/usr/bin/env bash
# A name has two addresses, and then another one: each is a backend, and the sessions of one that goes away go on.
source "$(dirname "$0")/../dns.sh"

start_backend echo echo --host 0.0.0.0
port=$(port_of echo)
start_dns --host-record=game.test,127.0.0.2 --host-record=game.test,127.0.0.3
start_named "\"game.test:$port\""
equal "backends" "game.test=127.0.0.2:$port game.test=127.0.0.3:$port" "$(backends)"
hold players "$(listener_port game)" 10
equal "sessions of each" "5 5" "$(status '[.pools[0].backends[].sessions_active] | join(" ")')"

restart_dns --host-record=game.test,127.0.0.3 --host-record=game.test,127.0.0.4
eventually "[ \"\$(backends)\" = 'game.test=127.0.0.3:$port game.test=127.0.0.4:$port' ]" 5
equal "sessions that stay" "5 0" "$(status '[.pools[0].backends[].sessions_active] | join(" ")')"
still 1 'holding players 10'
equal "failed newcomers" 0 "$(client load "$(listener_port game)" --sessions 20 --rounds 1 | jq .failed)"
stop_client players
equal "players who lost their session" 0 "$(report players .failed)"
contains "the change is logged" '"message":"host name resolved".*127.0.0.4' portti.log
