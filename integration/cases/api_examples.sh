#!/usr/bin/env bash
# Every command of docs/api.md works as it stands there, with a token; the last one drains.
source "$(dirname "$0")/../lib.sh"
need_openssl

start_backend echo echo
TOKEN=$(openssl rand -hex 32)
start_portti <<TOML
$GAME
backends = ["$(address_of echo)"]
TOML

hold player "$(listener_port game)" 1
session=$(admin /api/v1/sessions | jq -r '.sessions[0].id')

awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$ROOT/docs/api.md" >commands
# What is said first. An answer that is no success is to be an error here.
grep -E '^curl\(\) ' commands | sed 's/command curl/& -sS --fail-with-body --max-time 5/' >first
equal "lines that give curl the token" 1 "$(wc -l <first)"
sed -i '/^curl() /d' commands
between "commands on the page" 15 100 "$(wc -l <commands)"

while IFS= read -r command; do
    real=${command//localhost:9900/$(cat portti.admin)}
    real=${real//10.0.0.11:25565/$(address_of echo)}
    real=${real//b6d81f0e5f3a9c0d00000000000012e4/$session}
    # A stream has no end: curl gives up.
    case $command in */events) real="$real || [ \$? = 28 ]" ;; esac
    bash -euo pipefail -c "$(cat first); $real" >answer 2>&1 </dev/null || fail "$command: $(cat answer)"
done <commands
await_exit 10
equal "exit code" 0 "$EXIT_CODE"
