#!/usr/bin/env bash
# A second portti on the same address is an error, unless both say reuse_port = true.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
config() {
    with_admin <<TOML
[listeners.game]
bind = "127.0.0.1:$1"
pool = "game"
reuse_port = $2
[pools.game]
backends = ["$(address_of echo)"]
TOML
}

for shared in false true; do
    config 0 $shared >portti.toml
    launch_portti
    await_started
    port=$(listener_port game)
    INSTANCE=second
    config "$port" $shared >second.toml
    launch_portti
    if [ $shared = false ]; then
        await_exit 5
        equal "exit code of the second" 1 "$EXIT_CODE"
        contains "its message" "127\.0\.0\.1:$port" second.log
        contains "its message" '[Aa]ddress( is)? already in use|in use' second.log
    else
        await_started
        # The kernel deals new connections out to all sockets of the address.
        equal "failed sessions over both" 0 "$(client load "$port" --sessions 200 --rounds 1 | jq .failed)"
        between "sessions of the second" 1 199 "$(status '.listeners[0].sessions_total')"
        INSTANCE=portti
        between "sessions of the first" 1 199 "$(status '.listeners[0].sessions_total')"
    fi
    INSTANCE=portti
    equal "failed sessions with the first" 0 "$(client load "$port" --sessions 20 --rounds 1 | jq .failed)"
    signal_portti TERM
    await_exit 3
    equal "exit code of the first" 0 "$EXIT_CODE"
done
