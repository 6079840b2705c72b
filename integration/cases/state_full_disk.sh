#!/usr/bin/env bash
# A disk that is full, or may not be written to: the state file stays as it was, sessions go on, and it is counted and told once.
source "$(dirname "$0")/../lib.sh"

# A disk of its own, seen by portti alone.
mkdir disk
cat >with_disk <<'SH'
#!/usr/bin/env bash
exec unshare ${UNSHARE:-} --mount bash -c 'mount -t tmpfs -o size=256k tmpfs disk && exec "$0" "$@"' "$REAL" "$@"
SH
chmod +x with_disk
[ "$(id -u)" = 0 ] || export UNSHARE=--map-root-user
REAL=true ./with_disk 2>unshare.log || skip "a disk of its own may not be mounted here: $(tail -n 1 unshare.log)"
export REAL=$PORTTI
PORTTI=$PWD/with_disk

ban() {
    curl -sS --max-time 5 -o /dev/null -H 'Content-Type: application/json' -d "{\"network\": \"$1\"}" \
        "http://$(cat portti.admin)/api/v1/bans"
}

banned() {
    jq -r '[.state.bans[].network] | join(" ")' "$disk/state.json"
}

start_backend echo echo
start_portti <<TOML
[state]
file = "disk/state.json"
$GAME
backends = ["$(address_of echo)"]
TOML
disk=/proc/$(portti_pid)/root$PWD/disk
hold players "$(listener_port game)" 5
ban 192.0.2.1
eventually '[ "$(banned)" = 192.0.2.1/32 ]' 5

dd if=/dev/zero of="$disk/full" bs=4k 2>/dev/null || true
ban 192.0.2.2
eventually '[ "$(metric portti_state_writes_total result=failed)" -ge 1 ]' 15
equal "the file" 192.0.2.1/32 "$(banned)"
equal "files beside it" "full state.json" "$(find "$disk" -mindepth 1 -printf '%f\n' | sort | paste -sd ' ')"
equal "bans that count" 2 "$(admin /api/v1/bans | jq '.bans | length')"
ban 192.0.2.3
eventually '[ "$(metric portti_state_writes_total result=failed)" -ge 2 ]' 15
equal "lines of the log about it" 1 "$(grep -c 'cannot be written' portti.log)"
rm "$disk/full"
ban 192.0.2.4
eventually '[ "$(banned)" = "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 192.0.2.4/32" ]' 15
contains "a word about it" 'can be written again' portti.log

nsenter ${UNSHARE:+--user --preserve-credentials} --mount --target "$(portti_pid)" mount -o remount,ro "$PWD/disk"
failed=$(metric portti_state_writes_total result=failed)
ban 192.0.2.5
eventually '[ "$(metric portti_state_writes_total result=failed)" -gt '"$failed"' ]' 15
equal "the file" "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 192.0.2.4/32" "$(banned)"
eventually "holding players 5" 5
stop_client players
equal "failed sessions" 0 "$(report players .failed)"
