#!/usr/bin/env bash
# The log: JSON into a pipe, text with colours on a terminal, and of a flood of the same line one each second, with the number of
# those that were left out.
source "$(dirname "$0")/../lib.sh"
need script bsdutils

# Everybody is refused, and each refusal is a line.
with_admin >portti.toml <<TOML
[log]
access = false
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
deny = ["127.0.0.0/8"]
[pools.game]
backends = ["127.0.0.1:1"]
TOML

mkfifo pipe
cat <pipe >portti.log &
"$PORTTI" run --config portti.toml 2>pipe &
echo $! >portti.pid
await_started

# refusals JQ: the log lines about them so far, each through a jq filter.
refusals() {
    jq -rc "select(.message == \"clients are refused\") | $1" portti.log
}

port=$(listener_port game) clients=0 began=$(now_ms)
while [ "$(now_ms)" -lt $((began + 3500)) ]; do
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    exec 3>&-
    clients=$((clients + 1))
done
[ "$clients" -ge 100 ] || fail "only $clients clients in 3.5 s are no flood"

# Each client is a line or is counted in one: at the latest in the one, of no client, that tells of those that nothing has followed.
told() {
    refusals '(if .client then 1 else 0 end) + (.left_out // 0)' | awk '{ sum += $1 } END { print sum + 0 }'
}
eventually '[ "$(told)" = "$clients" ]' 5
seconds=$((($(now_ms) - began) / 1000))
between "lines in $seconds s" 4 $((seconds + 1)) "$(refusals . | wc -l)"
equal "lines that name the listener" "$(refusals . | wc -l)" "$(refusals 'select(.listener == "game" and .level == "INFO")' | wc -l)"
left_out=$(refusals '.left_out // 0' | awk '{ sum += $1 } END { print sum + 0 }')
equal "portti_log_lines_left_out_total" "$left_out" "$(metric portti_log_lines_left_out_total)"

# What was left out last is told before the end.
for _ in 1 2 3; do
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    exec 3>&-
done
eventually '[ "$(metric portti_sessions_total reason=denied)" = $((clients + 3)) ]' 3
signal_portti TERM
await_exit 5
eventually '[ "$(told)" = $((clients + 3)) ]' 3
jq -e . portti.log >/dev/null || fail "a line in the pipe is not JSON"

# on_terminal FILE VARIABLE...: what portti writes to a terminal from start to end.
on_terminal() {
    local file=$1
    # shellcheck disable=SC2016
    env "${@:2}" script -qec 'echo $$ >portti.pid; exec "$PORTTI" run --config portti.toml' "$file" </dev/null >/dev/null &
    eventually '[ "$(http_code /startupz)" = 200 ]' 15
    signal_portti TERM
    eventually '! portti_lives' 5
    wait "$!" || fail "exit code $?"
}

escape=$'\x1b'
on_terminal colours.txt TERM=xterm
contains "the level in colour" "^${escape}\[2m[0-9:]{8}\.[0-9]{3}${escape}\[0m ${escape}\[32m INFO${escape}\[0m listening" colours.txt
contains "the names" "listening ${escape}\[2mlistener=${escape}\[0mgame ${escape}\[2maddress=${escape}\[0m127\.0\.0\.1:" colours.txt

for variable in NO_COLOR=1 TERM=dumb; do
    on_terminal plain.txt TERM=xterm "$variable"
    contains "$variable" '^[0-9:]{8}\.[0-9]{3}  INFO listening listener=game address=127\.0\.0\.1:' plain.txt
    if grep -q "$escape" plain.txt; then fail "colours with $variable"; fi
done
