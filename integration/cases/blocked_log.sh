#!/usr/bin/env bash
# Nobody reads portti's log, and the pipe to the reader is full: sessions go on as if nothing were, and so does the exit.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
with_admin >portti.toml <<TOML
$GAME
backends = ["$(address_of echo)"]
TOML
mkfifo pipe
# Holds the pipe open at both ends and never reads; the kernel takes 64 KiB.
exec 3<>pipe
"$PORTTI" run --config portti.toml 2>pipe 3>&- &
echo $! >portti.pid
await_started

client load "$(listener_port game)" --sessions 100 --churn --rounds 50 --pause 0 >load.json
equal "failed sessions" 0 "$(jq .failed load.json)"
equal "sessions" 5000 "$(jq .completed load.json)"
eventually '[ "$(metric portti_sessions_total reason=client_closed)" = 5000 ]' 5

hold player "$(listener_port game)" 1
signal_portti TERM
eventually '[ "$(status .state)" = draining ]' 2
stop_client player
equal "failures of the session in the drain" 0 "$(report player .failed)"
await_exit 5
equal "exit code" 0 "$EXIT_CODE"
