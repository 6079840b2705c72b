#!/usr/bin/env bash
# portti starts although the name server is down; sessions are refused, and go as soon as the name is known.
source "$(dirname "$0")/../dns.sh"

start_backend echo echo --host 0.0.0.0
port=$(port_of echo)
free_port >dns.port
started=$(now_ms)
start_named "\"game.test:$port\""
between "milliseconds until it serves" 0 7000 $(($(now_ms) - started))
equal "backends" "" "$(backends)"
equal "ready" 503 "$(http_code /readyz)"
equal "refused sessions" 3 "$(client load "$(listener_port game)" --sessions 3 --rounds 1 | jq .failed)"

start_dns --host-record=game.test,127.0.0.2
eventually "[ \"\$(backends)\" = 'game.test=127.0.0.2:$port' ]" 40
equal "ready" 200 "$(http_code /readyz)"
equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 3 --rounds 1 | jq .failed)"
