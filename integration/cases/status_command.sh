#!/usr/bin/env bash
# portti status: a page for a person, JSON for a script, an exit code for a health check; a drain is not ready, but lives.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_portti <<TOML
$GAME
backends = ["$(address_of echo)"]
TOML
export PORTTI_ADMIN
PORTTI_ADMIN=$(cat portti.admin)

# asks CODE OPTION...: the exit code; what it said is in out.txt and err.txt.
asks() {
    local code=0
    timeout 10 "$PORTTI" status "${@:2}" >out.txt 2>err.txt || code=$?
    equal "exit code of portti status ${*:2}" "$1" "$code"
}

hold player "$(listener_port game)" 3
asks 0
contains "the first line" '^portti [0-9.]+: ready, up [0-9]+' out.txt
contains "the listener" "^game +127\.0\.0\.1:$(listener_port game) +tcp +game +[a-z-]+ +3 +3$" out.txt
contains "the backend" "^game +127\.0\.0\.1:$(port_of echo) +ready +unknown +closed +1 +3 +3 +0 +.*yes$" out.txt
asks 0 --json
equal "sessions in JSON" 3 "$(jq .sessions_active out.txt)"
asks 0 --quiet
asks 0 --live --quiet
[ ! -s out.txt ] || fail "--quiet is not quiet"

signal_portti TERM
eventually '[ "$(http_code /readyz)" = 503 ]' 2
asks 1
contains "the first line of a drain" ': draining, up' out.txt
contains "the time that is left" '^draining: [0-9]+ s' out.txt
asks 1 --quiet
asks 0 --live
stop_client player
await_exit 3

asks 1
contains "a portti that is gone" "no answer from $PORTTI_ADMIN: .*refused" err.txt
asks 1 --quiet
[ ! -s err.txt ] || fail "--quiet is not quiet"
# What listens there is something else, that says nothing, or nonsense.
start_backend quiet silent
PORTTI_ADMIN=$(address_of quiet)
asks 1
contains "a stranger that waits" 'nothing came within 2 s' err.txt
start_backend stranger ends_first
PORTTI_ADMIN=$(address_of stranger)
asks 1
contains "a stranger that speaks" "not portti's admin server" err.txt
asks 1 --admin nobody.invalid:9900
asks 2 --json --quiet
