#!/usr/bin/env bash
# A backend may be given by name: the name is looked up, and sessions go to the address that it stands for.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_portti <<TOML
$GAME
backends = ["localhost:$(port_of echo)"]
TOML

equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 5 --rounds 1 | jq .failed)"
eventually '[ "$(access_log .reason | wc -l)" = 5 ]' 3
equal "sessions of the backends" 5 "$(status '[.pools[0].backends[].sessions_total] | add')"
contains "the access log names the backend's port" "\"backend\":\"[^\"]*:$(port_of echo)\"" portti.log
