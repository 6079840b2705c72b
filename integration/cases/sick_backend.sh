#!/usr/bin/env bash
# A backend that hangs for newcomers while others play on it: its health check finds that (its circuit does not, as it answers somebody),
# `portti status` says so, it is drained until its players have left by themselves, taken out, restarted and put back; nobody who plays
# notices, and from the drain on no newcomer either.
source "$(dirname "$0")/../lib.sh"

start_backend one echo
start_backend two echo
start_backend sick tired
start_portti <<TOML
$GAME
backends = ["$(address_of one)", "$(address_of two)", "$(address_of sick)"]
request_timeout = "1s"
health = { type = "exchange", send = "well?", expect = "well", interval = "300ms", timeout = "300ms", fall = 2, rise = 1 }
TOML
export PORTTI_ADMIN
PORTTI_ADMIN=$(cat portti.admin)
game=$(listener_port game)
sick=$(address_of sick)

# orders COMMAND...: of the operator; what portti says is in out.txt.
orders() {
    timeout 30 "$PORTTI" "$@" >out.txt 2>&1 || fail "portti $* ended with $?: $(cat out.txt)"
}

# newcomers: how many of six are not served.
newcomers() {
    client load "$game" --sessions 6 --rounds 1 --patience 5 | jq .failed
}

# Those who will leave play on the sick one, those who stay on the others.
orders weight game "$(address_of one)" 0
orders weight game "$(address_of two)" 0
hold leavers "$game" 2
orders weight game "$(address_of one)" file
orders weight game "$(address_of two)" file
orders weight game "$sick" 0
hold stayers "$game" 4
orders weight game "$sick" file
equal "who plays where" "2 2 2" "$(for name in one two sick; do backend_status $name sessions_active; done | paste -sd ' ')"

# Which one is it?
orders status
! grep -q 'takes nobody new' out.txt || fail "somebody is sick already: $(cat out.txt)"
kill -USR1 "$(cat sick.pid)"
tells() {
    newcomers >failed.txt
    orders status
    grep -Eq "^game $sick takes nobody new: its health check fails \\(.*; last: " out.txt
}
eventually tells 20
equal "sick ones" 1 "$(grep -c 'takes nobody new' out.txt)"

# Drained: newcomers are served elsewhere, those on it play on, and the wait ends with the last of them.
timeout 60 "$PORTTI" drain game "$sick" --wait >wait.txt 2>&1 &
waiter=$!
eventually 'grep -q "2 of 2 sessions left" wait.txt' 10
total=$(backend_status sick sessions_total)
for _ in 1 2 3; do equal "newcomers that are not served" 0 "$(newcomers)"; done
equal "newcomers on it" "$total" "$(backend_status sick sessions_total)"
kill -0 "$waiter" || fail "did not wait: $(cat wait.txt)"
stop_client leavers
wait "$waiter" || fail "the wait ended with $?: $(cat wait.txt)"
contains "the end of the wait" 'has no session left' wait.txt

# Taken out, restarted, put back. Its check passes, and then it takes newcomers.
orders maintenance game "$sick"
kill_backend sick
equal "newcomers that are not served" 0 "$(newcomers)"
start_backend sick echo --port "${sick##*:}"
orders ready game "$sick"
eventually 'newcomers && [ "$(backend_status sick health)" = up ]' 15
orders status
! grep -q 'takes nobody new' out.txt || fail "somebody is sick still: $(cat out.txt)"
total=$(backend_status sick sessions_total)
equal "newcomers that are not served" 0 "$(newcomers)"
[ "$(backend_status sick sessions_total)" -gt "$total" ] || fail "no newcomer reaches it"

stop_client stayers
equal "sessions that were disturbed" "0 0" "$(report leavers .failed) $(report stayers .failed)"
