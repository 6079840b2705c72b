#!/usr/bin/env bash
# SIGTERM while a backend takes 3 s to answer: the client gets its whole answer, and only then the process ends, with 0.
source "$(dirname "$0")/../lib.sh"

start_backend slow slow_backend
start_portti <<TOML
$GAME
backends = ["$(address_of slow)"]
TOML

start_client asker ask "$(listener_port game)"
eventually 'grep -q asked slow.log' 5
signal_portti TERM
eventually '[ "$(status .state)" = draining ]' 2
portti_lives || fail "portti did not wait for its session"

await_client asker
await_exit 3
equal "exit code" 0 "$EXIT_CODE"
equal "whole answers" 1 "$(report asker .whole)"
between "seconds for the answer" 2.9 4 "$(report asker .slowest)"
equal "reason" backend_closed "$(access_log .reason)"
