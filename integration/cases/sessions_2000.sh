#!/usr/bin/env bash
# 2,000 players at once, each with bytes of its own: none is refused, cut or mixed up with another, and all are counted.
# runs alone
source "$(dirname "$0")/../lib.sh"

# Two descriptors a session in portti; each of the others needs one.
ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 4500 ] ||
    skip "needs 4500 open files, the hard limit is $(ulimit -n)"

start_backend one echo
start_backend two echo
start_portti <<TOML
$GAME
backends = ["$(address_of one)", "$(address_of two)"]
TOML

start_client players load "$(listener_port game)" \
    --sessions 2000 --bytes 512 --pause 1 --patience 30 --progress players.progress
eventually 'holding players 2000' 30
equal "sessions_active" 2000 "$(status .sessions_active)"
equal "portti_sessions_active" 2000 "$(metric portti_sessions_active listener=game)"
equal "portti_backend_sessions_active" 2000 "$(metric portti_backend_sessions_active pool=game)"
between "share of one backend" 900 1100 "$(backend_status one sessions_active)"

stop_client players
equal "failed" 0 "$(report players .failed)"
equal "completed" 2000 "$(report players .completed)"
eventually '[ "$(status .sessions_active)" = 0 ]' 5
eventually '[ "$(access_log .session | sort -u | wc -l)" = 2000 ]' 5
