#!/usr/bin/env bash
# AAAA records are backends like A records.
source "$(dirname "$0")/../dns.sh"
grep -qs ' lo$' /proc/net/if_inet6 || skip "this machine has no IPv6"

start_backend four echo
port=$(port_of four)
start_backend six echo --host ::1 --port "$port"
start_dns --host-record=game.test,127.0.0.1,::1
start_named "\"game.test:$port\""
equal "backends" "game.test=127.0.0.1:$port game.test=[::1]:$port" "$(backends)"
hold players "$(listener_port game)" 10
equal "sessions of each" "5 5" "$(status '[.pools[0].backends[].sessions_active] | join(" ")')"
stop_client players
equal "failed sessions" 0 "$(report players .failed)"
