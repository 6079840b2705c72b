#!/usr/bin/env bash
# The first SIGTERM or SIGINT drains, the second ends the process at once.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
for signals in "TERM TERM" "INT TERM"; do
    read -r first second <<<"$signals"
    start_portti <<TOML
$GAME
backends = ["$(address_of echo)"]
TOML
    hold player "$(listener_port game)" 1
    signal_portti "$first"
    eventually '[ "$(status .state)" = draining ]' 2
    still 1 portti_lives

    started=$(now_ms)
    signal_portti "$second"
    await_exit 3
    between "milliseconds from SIG$second to the exit" 0 1000 $(($(now_ms) - started))
    # Ended by its own decision, not by the signal's default action.
    between "exit code" 0 1 "$EXIT_CODE"
    stop_client player
done
