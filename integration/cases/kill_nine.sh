#!/usr/bin/env bash
# kill -9 leaves nothing behind: no process, no file, and a new portti takes over the same ports at once.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
config() {
    with_admin <<TOML
[listeners.game]
bind = "127.0.0.1:$1"
pool = "game"
[pools.game]
backends = ["$(address_of echo)"]
TOML
}
mkdir home
config 0 >home/portti.toml
mv portti.admin home
INSTANCE=home/portti
launch_portti
await_started
port=$(listener_port game)
hold players "$port" 20

children=$(cat "/proc/$(portti_pid)/task"/*/children)
equal "child processes" "" "${children// /}"
signal_portti KILL
await_exit 2
equal "exit code" 137 "$EXIT_CODE"
equal "files left" "portti.admin portti.log portti.out portti.pid portti.toml" "$(find home -mindepth 1 -printf "%f\n" | sort | paste -sd ' ')"
eventually 'holding players 0' 2

# Now on the port that the killed one had, while its connections are still being wound up by the kernel.
config "$port" >home/portti.toml
started=$(now_ms)
launch_portti
await_started
between "milliseconds until the new one had started" 0 2000 $(($(now_ms) - started))
equal "port" "$port" "$(listener_port game)"
equal "failed sessions with the new one" 0 "$(client load "$port" --sessions 20 --rounds 2 | jq .failed)"
stop_client players
