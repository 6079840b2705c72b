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
equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 10 --rounds 1 | jq .failed)"
equal "sessions of each" "5 5" "$(status '[.pools[0].backends[].sessions_total] | join(" ")')"
