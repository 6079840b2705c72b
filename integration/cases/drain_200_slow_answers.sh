#!/usr/bin/env bash
# SIGTERM while 200 clients wait for a backend that takes 3 s: all of them get their own answer, whole.
source "$(dirname "$0")/../lib.sh"

start_backend slow slow_backend
start_portti <<TOML
$GAME
backends = ["$(address_of slow)"]
TOML

start_client asker ask "$(listener_port game)" --clients 200
eventually '[ "$(grep -c asked slow.log)" = 200 ]' 10
signal_portti TERM

await_client asker
await_exit 5
equal "exit code" 0 "$EXIT_CODE"
equal "whole answers" 200 "$(report asker .whole)"
equal "access log lines" 200 "$(access_log .session | sort -u | wc -l)"
equal "sessions cut by the drain" 0 "$(access_log 'select(.reason == "drained") | .session' | wc -l)"
