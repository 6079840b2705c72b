#!/usr/bin/env bash
# portti top on a terminal: shows what goes on, drains a backend when asked and sure, says when portti is lost, and gives the terminal back.
# portti sessions lists those who play, and ends one.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_portti <<TOML
$GAME
backends = [{ address = "$(address_of echo)", max_connections = 10 }]
TOML
export PORTTI_ADMIN
PORTTI_ADMIN=$(cat portti.admin)
hold players "$(listener_port game)" 3

# What is typed waits for what is to be seen: a no, then a yes.
client terminal --key '3/10:d' --key 'y/n:n' --key 'q quit:q' -- "$PORTTI" top >top.json
equal "the backend after a no" ready "$(backend_status echo admin)"
client terminal --key '3/10:d' --key 'y/n:y' --key 'takes nobody new:q' -- "$PORTTI" top >top.json
equal "exit code of portti top" 0 "$(jq .code top.json)"
equal "the terminal is as it was" true "$(jq .restored top.json)"
equal "the backend" drain "$(backend_status echo admin)"
for signal in TERM INT HUP; do
    client terminal --until '3/10' --signal "$signal" -- "$PORTTI" top >top.json
    equal "exit code and terminal after SIG$signal" '0 true' "$(jq -r '"\(.code) \(.restored)"' top.json)"
done
# Small screens have something, too.
client terminal --lines 5 --columns 30 --key 'portti:q' -- "$PORTTI" top >top.json
equal "exit code on a small screen" 0 "$(jq .code top.json)"

# Without a terminal it says what is for programs.
! "$PORTTI" top >out.txt 2>err.txt </dev/null || fail "portti top runs without a terminal"
contains "what it says" 'needs a terminal; `portti status --json`' err.txt

# Who plays, and one less.
"$PORTTI" sessions --pool game --sort bytes >out.txt
equal "lines about sessions" 3 "$(grep -c "^[0-9a-f]\{32\} *game *127.0.0.1:[0-9]* *game *$(address_of echo) " out.txt)"
"$PORTTI" sessions --client 10.0.0.0/8 >none.txt
contains "nobody from there" '^there is no such session$' none.txt
"$PORTTI" sessions --json --limit 1 >out.txt
equal "sessions in JSON" '1 3' "$(jq -r '"\(.sessions | length) \(.total)"' out.txt)"
id=$(jq -r '.sessions[0].id' out.txt)
"$PORTTI" sessions --close "$id" >out.txt
contains "the end of a session" "^session $id is ended$" out.txt
eventually '[ "$(status .sessions_active)" = 2 ]' 5
! "$PORTTI" sessions --close "$id" 2>err.txt || fail "a session ends twice"

# portti goes while it is watched.
streams() {
    metric portti_admin_requests_total path=/api/v1/events
}
before=$(streams)
client terminal --key '2/10:j' --key 'trying again:q' -- "$PORTTI" top >top.json &
watcher=$!
eventually '[ "$(streams)" -gt "$before" ]' 10
signal_portti KILL
wait "$watcher" || fail "portti top: $(cat top.json)"
contains "what is lost" 'lost for [0-9]+ s, trying again' top.json
