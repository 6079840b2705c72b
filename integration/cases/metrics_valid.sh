#!/usr/bin/env bash
# Prometheus' own checker finds nothing wrong with the metrics.
source "$(dirname "$0")/../lib.sh"

PROMTOOL=$(command -v promtool || echo "$ROOT/target/tools/usr/bin/promtool")
[ -x "$PROMTOOL" ] || skip "promtool is not installed"

start_backend echo echo
start_backend gone echo
kill_backend gone
start_portti <<TOML
$GAME
backends = ["$(address_of echo)", "$(address_of gone)"]
TOML
# So that the series that come with sessions, retries and failures are there.
equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 10 --rounds 1 | jq .failed)"
eventually '[ "$(metric portti_sessions_total)" = 10 ]' 3

admin /metrics >metrics.txt
"$PROMTOOL" check metrics <metrics.txt || fail "promtool does not like the metrics"
