#!/usr/bin/env bash
# An operator at a shell: finds the sick backend, drains the one that is to be restarted while somebody plays on it, takes it out and puts it
# back, bans an address, previews an edit, and hears why a file is refused.
source "$(dirname "$0")/../lib.sh"
need_openssl

TOKEN=$(openssl rand -hex 32)
echo "$TOKEN" >right.token
echo "${TOKEN}x" >wrong.token
start_backend one echo
start_backend two echo
start_backend sick echo
kill_backend sick
start_portti <<TOML
$GAME
backends = ["$(address_of one)", "$(address_of two)", "$(address_of sick)"]
[pools.game.health]
type = "tcp"
interval = "1s"
timeout = "500ms"
fall = 1
TOML
export PORTTI_ADMIN PORTTI_TOKEN=$TOKEN
PORTTI_ADMIN=$(cat portti.admin)

# asks CODE COMMAND...: the exit code of portti; what it said is in out.txt and err.txt.
asks() {
    local code=0
    timeout 20 "$PORTTI" "${@:2}" >out.txt 2>err.txt </dev/null || code=$?
    equal "exit code of portti ${*:2}: $(cat err.txt)" "$1" "$code"
}

# Who may not ask hears what to do.
PORTTI_TOKEN='' asks 1 bans
contains "a command without the token" 'Give the token: --token-file FILE' err.txt
asks 1 bans --token-file wrong.token
contains "a command with another token" 'It is not the token' err.txt
PORTTI_TOKEN='' asks 0 bans --token-file right.token
asks 2 bans --token-file missing.token

# Which one is sick, and why.
eventually '[ "$(backend_status sick health)" = down ]' 10
asks 0 status
contains "the sick backend" "^game $(address_of sick) takes nobody new: its health check fails \(.*refused" out.txt
asks 1 drain game 127.0.0.1:1
contains "a backend that there is not" "there is no backend .*$(address_of one)" err.txt
asks 1 drain gmae "$(address_of one)"
contains "a pool that there is not" 'there is no pool "gmae"; there are: game' err.txt

# Players are on both; one is drained, and waited for.
hold players "$(listener_port game)" 4
eventually '[ "$(status .sessions_active)" = 4 ]' 5
busy=$(backend_status one sessions_active)
between "sessions of one of two backends" 1 3 "$busy"
asks 1 drain game "$(address_of one)" --wait --timeout 1s
contains "those who are left" "has $busy sessions? left after [0-9]+s; it goes on taking nobody new" out.txt
asks 1 status --quiet --admin 127.0.0.1:1
asks 0 status
contains "the drain" "^game +$(address_of one) +drain by hand " out.txt
hold newcomers "$(listener_port game)" 3
equal "sessions of a backend that drains" "$busy" "$(backend_status one sessions_active)"
stop_client newcomers
timeout 30 "$PORTTI" drain game "$(address_of one)" --wait >wait.txt 2>&1 &
waiter=$!
eventually 'grep -q "of .* left" wait.txt' 5
kill -INT "$waiter"
code=0
wait "$waiter" || code=$?
equal "exit code of a wait that was interrupted" 130 "$code"
contains "an interrupted wait" 'goes on taking nobody new; `portti ready` ends that' wait.txt
timeout 30 "$PORTTI" drain game "$(address_of one)" --wait >wait.txt 2>&1 &
waiter=$!
eventually 'grep -q "of .* left" wait.txt' 5
stop_client players
wait "$waiter" || fail "the wait ended with $?: $(cat wait.txt)"
contains "the end of the wait" 'has no session left, after [0-9]+s' wait.txt

# It is worked on, put back, and weighed.
asks 0 maintenance game "$(address_of one)"
equal "its state" maintenance "$(backend_status one admin)"
asks 0 ready game "$(address_of one)"
contains "it is back" 'takes sessions; it has 0 sessions' out.txt
asks 0 weight game "$(address_of one)" 7
equal "its weight" 7 "$(backend_status one weight)"
asks 0 weight game "$(address_of one)" file
contains "its weight by the file" 'has weight 1, as the file says' out.txt
asks 2 weight game "$(address_of one)" 257

# An address stays out, and is let in again; the door is closed to all but staff.
talks() {
    client once "$(listener_port game)" >once.txt 2>&1 && grep -q hello once.txt
}
hold banned "$(listener_port game)" 2
eventually '[ "$(status .sessions_active)" = 2 ]' 5
asks 0 ban 127.0.0.0/8 --for 1h --why flood
contains "the ban" '^127\.0\.0\.0/8 is banned until [0-9T:.-]+Z; ended: 2 sessions$' out.txt
stop_client banned
! talks || fail "who is banned is let in"
asks 0 bans
contains "the list of bans" '^127\.0\.0\.0/8 +[0-9T:.-]+Z +hand +all +flood$' out.txt
asks 0 unban 127.0.0.0/8
talks || fail "who is no longer banned is not let in: $(cat once.txt)"
asks 1 unban 127.0.0.0/8
contains "a ban that there is not" 'is not banned' err.txt
asks 1 ban nonsense
asks 0 listener game maintenance
equal "the door" 'true hand' "$(status '.listeners[0] | "\(.maintenance) \(.maintenance_by)"')"
! talks || fail "the door is open to everybody"
asks 0 listener game file
talks || fail "the door is closed: $(cat once.txt)"
contains "the door by the file" 'listener game is open, as the file says' out.txt

# What would an edit do? Nobody is on either of these.
hold players "$(listener_port game)" 4
eventually '[ "$(status .sessions_active)" = 4 ]' 5
sed 's/^interval = .*/interval = "2s"/' portti.toml >edit.toml
asks 0 config diff edit.toml
contains "a harmless edit" '^pools\.game\.health\.interval: 1s -> 2s$' out.txt
contains "nobody is affected" '^no live session is affected$' out.txt
grep -v '^backends' portti.toml | sed "s/^\[pools.game\]\$/&\nbackends = [\"$(address_of two)\"]/" >edit.toml
busy=$(backend_status one sessions_active)
asks 3 config diff edit.toml
contains "an edit that takes a backend out" "$(address_of one) of pool game removed.* \($busy sessions? would go on, and nobody new come\)" out.txt
contains "how many" "^affected: $busy live sessions?$" out.txt
sed 's/^pool = "game"/pool = "gmae"/' portti.toml >edit.toml
asks 2 config diff edit.toml
contains "an edit that would be refused" 'edit\.toml:3:' err.txt
asks 2 config diff missing.toml
asks 1 config diff edit.toml --admin 127.0.0.1:1
equal "nothing was done" 1 "$(status .config.generation)"

# A file is refused, and the reason is told; a good one is applied.
cp portti.toml good.toml
cp edit.toml portti.toml
asks 2 reload
contains "a file that is refused" '^the file is refused, and what ran before goes on:$' err.txt
contains "the reason" 'portti\.toml:3:' err.txt
cp good.toml portti.toml
asks 0 reload
contains "a file that is applied" '^applied: generation [0-9]+$' out.txt
asks 0 config show
contains "what runs" '^pools\.game\.health\.interval = 1s$' out.txt
stop_client players
equal "players that were thrown out by all this" 0 "$(report players .failed)"
