#!/usr/bin/env bash
# NXDOMAIN and a silent server keep the last answer, are logged once each, and delay no session; a late answer is taken over.
source "$(dirname "$0")/../dns.sh"

start_backend echo echo --host 0.0.0.0
port=$(port_of echo)
known="game.test=127.0.0.2:$port"
start_dns --host-record=game.test,127.0.0.2
start_named "\"game.test:$port\""
equal "backends" "$known" "$(backends)"

restart_dns
eventually 'admin /health/deep | jq -r ".checks[\"dns:game.test:'"$port"'\"]" | grep -q NXDOMAIN' 5
equal "backends in spite of NXDOMAIN" "$known" "$(backends)"
equal "deep health" degraded "$(admin /health/deep | jq -r .status)"

restart_dns --host-record=game.test,127.0.0.2
eventually '[ "$(admin /health/deep | jq -r .status)" = ok ]' 10

kill -STOP "$(cat dns.pid)"
eventually 'admin /health/deep | jq -r ".checks[\"dns:game.test:'"$port"'\"]" | grep -q "no answer"' 10
equal "backends in spite of silence" "$known" "$(backends)"
started=$(now_ms)
equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 10 --rounds 1 | jq .failed)"
between "milliseconds for ten sessions" 0 2000 $(($(now_ms) - started))
kill -CONT "$(cat dns.pid)"
restart_dns --host-record=game.test,127.0.0.3
eventually "[ \"\$(backends)\" = 'game.test=127.0.0.3:$port' ]" 40

equal "failures are logged once each" 2 "$(grep -c '"message":"host name could not be resolved"' portti.log)"
