#!/usr/bin/env bash
# 10,000 clients that never finish their PROXY header, and as many that never finish their first TLS message: what they cost is bounded,
# players go on, and all of them are gone when their time is over.
# runs alone
source "$(dirname "$0")/../lib.sh"
need_openssl

ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 12000 ] ||
    skip "needs 12000 open files, the hard limit is $(ulimit -n)"

authority ca
certificate game ca game.example.com
start_backend one echo
start_portti <<TOML
[server]
max_connections = 11000
levels = { overloaded = "100%" }
[listeners.balanced]
bind = "127.0.0.1:0"
pool = "game"
accept_proxy = { from = ["127.0.0.0/8"] }
preread_timeout = "20s"
[listeners.secure]
bind = "127.0.0.1:0"
pool = "game"
[listeners.secure.tls]
certificates = [{ cert = "game.pem", key = "game.key" }]
handshake_timeout = "20s"
$GAME
backends = ["$(address_of one)"]
TOML

memory() {
    awk '/^VmRSS/ { print $2 }' "/proc/$(portti_pid)/status"
}

hold players "$(listener_port game)" 20
for listener in balanced secure; do
    case $listener in
        balanced) beginning='PROXY TCP4 192.0.2.1' reason=preread_timeout ;;
        secure) beginning='\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' reason=tls_failed ;;
    esac
    before=$(memory)
    rm -f ready
    start_client never never "$(listener_port $listener)" --sessions 10000 --send "$beginning" --ready ready
    eventually '[ -e ready ]' 30
    eventually '[ "$(status .sessions_active)" -ge 10000 ]' 5
    grown=$(($(memory) - before))
    echo "$listener: $grown KiB for 10,000 clients that have not finished"
    between "KiB for 10,000 clients on $listener" 0 40000 "$grown"
    holding players 20 || fail "players were lost"
    eventually "[ \"\$(metric portti_sessions_total listener=$listener reason=$reason)\" = 10000 ]" 40
    stop_client never
done
stop_client players
equal "players that failed" 0 "$(report players .failed)"
eventually '[ "$(status .sessions_active)" = 0 ]' 5
