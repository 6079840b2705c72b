#!/usr/bin/env bash
# Clients whom the kernel has connected, but portti not yet accepted when SIGTERM comes, are served like the others.
source "$(dirname "$0")/../lib.sh"

# A descriptor for each client, and two for portti's side of it.
ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 2500 ] || skip "needs 2500 open files, the limit is $(ulimit -n)"
[ "$(cat /proc/sys/net/core/somaxconn)" -ge 1024 ] || skip "the kernel's accept queues are too short here"

start_backend slow slow_backend --delay 1 --size 1000
start_portti <<TOML
[server]
workers = 1 # one queue for all of them
$GAME
backends = ["$(address_of slow)"]
TOML
port=$(listener_port game)

# A stopped process accepts nothing; the kernel goes on connecting clients until the queue is full.
signal_portti STOP
start_client asker ask "$port" --clients 1000 --size 1000
connected() {
    # State 01 is ESTABLISHED, and the third field the client's peer.
    awk -v peer=":$(printf '%04X' "$port")" 'substr($3, 9) == peer && $4 == "01"' /proc/net/tcp | wc -l
}
eventually '[ "$(connected)" = 1000 ]' 5
signal_portti TERM
signal_portti CONT

await_client asker
await_exit 5
equal "exit code" 0 "$EXIT_CODE"
equal "whole answers" 1000 "$(report asker .whole)"
