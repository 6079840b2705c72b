#!/usr/bin/env bash
# One line for each finished session, with all its fields, JSON where standard error is not a terminal, text on demand.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
config() {
    with_admin <<TOML
$1
[listeners.game]
bind = "127.0.0.1:0"
pool = "players"
[pools.players]
backends = ["$(address_of echo)"]
TOML
}

config "" >portti.toml
launch_portti
await_started
client talk "$(listener_port game)" --send "hello world" --until 11 >talk.json
eventually '[ "$(access_log .reason)" = client_closed ]' 3

line=$(access_log .)
field() {
    jq -r ".$1" <<<"$line"
}
for name in session listener client pool backend attempts connect_ms first_byte_ms duration_ms bytes_up bytes_down reason \
    rtt_us retransmits; do
    [ "$(jq "has(\"$name\") and .$name != null" <<<"$line")" = true ] || fail "no $name in $line"
done
equal listener game "$(field listener)"
equal pool players "$(field pool)"
equal backend "$(address_of echo)" "$(field backend)"
equal client "$(jq -r .local talk.json)" "$(field client)"
equal attempts 1 "$(field attempts)"
equal bytes_up 11 "$(field bytes_up)"
equal bytes_down 11 "$(field bytes_down)"
between connect_ms 0 1000 "$(field connect_ms)"
between first_byte_ms 0 1000 "$(field first_byte_ms)"
between duration_ms 0 2000 "$(field duration_ms)"
between rtt_us 1 1000000 "$(field rtt_us)"
equal retransmits 0 "$(field retransmits)"

client load "$(listener_port game)" --sessions 20 --rounds 1 >/dev/null
eventually '[ "$(access_log .session | sort -u | wc -l)" = 21 ]' 3
signal_portti TERM
await_exit 3
jq -e . portti.log >/dev/null || fail "a line of standard error is not JSON"
equal "objects a line" "$(wc -l <portti.log)" "$(jq -c . portti.log | wc -l)"
equal "bytes on standard output" 0 "$(wc -c <portti.out)"

# run_once LOG_SECTION: a new portti with one session; leaves its words in portti.log.
run_once() {
    rm portti.log
    config "$1" >portti.toml
    launch_portti
    await_started
    equal "failed sessions" 0 "$(client load "$(listener_port game)" --sessions 1 --rounds 1 | jq .failed)"
    eventually '[ "$(status .sessions_active)" = 0 ]' 3
    signal_portti TERM
    await_exit 3
}

run_once $'[log]\nformat = "text"'
contains "the text log" 'client_closed' portti.log
if jq -e . portti.log >/dev/null 2>&1; then fail "format = text gives JSON"; fi

run_once $'[log]\nformat = "json"\naccess = false'
equal "access log lines with access = false" 0 "$(access_log . | wc -l)"
