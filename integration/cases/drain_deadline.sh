#!/usr/bin/env bash
# Sessions that do not end by themselves are cut when drain_timeout is over, each with the reason in its line.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_portti <<TOML
[server]
drain_timeout = "2s"
$GAME
backends = ["$(address_of echo)"]
TOML

hold players "$(listener_port game)" 5
started=$(now_ms)
signal_portti TERM
await_exit 5
between "milliseconds until the exit" 1900 2800 $(($(now_ms) - started))
equal "exit code" 0 "$EXIT_CODE"
equal "sessions logged as drained" 5 "$(access_log 'select(.reason == "drained") | .session' | wc -l)"
equal "cut sessions that the log tells of" 5 "$(jq "select(has(\"cut\")).cut" portti.log)"

# A player who pauses between two messages sees it with the next one; told to stop before that, they would end content.
eventually 'holding players 0' 5
stop_client players
equal "sessions that were cut" 5 "$(report players '.closed + .reset')"
