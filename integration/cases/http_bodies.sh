#!/usr/bin/env bash
# Bodies of a gigabyte in both directions, clients that stop reading, and a server that does: all arrives as it was sent, what portti
# holds of it is bounded, and others go on.
source "$(dirname "$0")/../lib.sh"

start_backend web web
start_portti <<TOML
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
[pools.web]
backends = ["$(address_of web)"]
TOML
front=http://127.0.0.1:$(listener_port web)
behind=http://$(address_of web)

# grown FILE: KiB that portti has at most grown by since the last time.
grown() {
    awk -v before="$resident" '/^VmHWM/ { print $2 - before }' "/proc/$(portti_pid)/status"
    rest
}
# From here on the peak is counted anew.
rest() {
    echo 5 >"/proc/$(portti_pid)/clear_refs"
    resident=$(awk '/^VmRSS/ { print $2 }' "/proc/$(portti_pid)/status")
}
# hash COUNT: how web.py calls a body like that of /bytes/COUNT.
hash() {
    "$PYTHON" - "$1" <<'PYTHON'
import hashlib, sys
left, digest = int(sys.argv[1]), hashlib.sha256()
block = bytes(index % 251 for index in range(1 << 16))
for at in range(0, left, len(block)):
    digest.update(block[: left - at])
print(left, digest.hexdigest())
PYTHON
}
page() {
    [ "$(curl -sS --max-time 2 "$front/" | cut -d ' ' -f 1)" = 0 ]
}
passed() {
    metric portti_bytes_total direction="$1"
}
# stalled DIRECTION: nothing moves any more, because all buffers on the way are full.
stalled() {
    local bytes
    bytes=$(passed "$1")
    sleep 0.5
    [ "$bytes" -gt 1000000 ] && [ "$bytes" = "$(passed "$1")" ]
}

page || fail "no page"
rest
for version in --http1.1 --http2-prior-knowledge; do
    size=$((1 << 30))
    [ $version = --http1.1 ] || size=$((1 << 28))
    equal "an upload by $version" "$(hash $size)" \
        "$(curl -sS --max-time 60 "$behind/bytes/$size" | curl -sS --max-time 60 $version -T - "$front/sink")"
    kib=$(grown)
    echo "$kib KiB for an upload by $version"
    between "KiB for an upload by $version" -16384 16384 "$kib"
    cmp <(curl -sS --max-time 60 $version "$front/bytes/$size") <(curl -sS --max-time 60 "$behind/bytes/$size") ||
        fail "a download by $version came otherwise"
    kib=$(grown)
    echo "$kib KiB for a download by $version"
    between "KiB for a download by $version" -16384 16384 "$kib"
done
eventually '[ "$(metric portti_requests_in_flight)" = 0 ]' 5
equal "bytes of the downloads" "1073741824 268435456" \
    "$(request_log 'select(.path | startswith("/bytes")) | .bytes_down' | paste -sd ' ')"

# Clients that stop reading.
start_client lazy pausing "$(listener_port web)" /bytes/30000000 --clients 20 --ready asked --until go
eventually '[ -f asked ] && [ "$(metric portti_requests_in_flight)" = 20 ]' 10
eventually 'stalled down' 20
kib=$(grown)
echo "$kib KiB for 20 clients that do not read"
between "KiB for 20 clients that do not read" -16384 16384 "$kib"
still 1 page
touch go
await_client lazy
equal "what they got later" "20 $(hash 30000000)" "$(report lazy '.bodies[]' | sort | uniq -c | sed 's/^ *//')"

rest
# A server that stops reading.
uploads=()
for number in 1 2 3 4 5; do
    curl -sS --max-time 60 "$behind/bytes/30000000" | curl -sS --max-time 60 -T - "$front/paused/on" >"upload$number" &
    uploads+=($!)
done
eventually '[ "$(metric portti_requests_in_flight)" = 5 ]' 10
eventually 'stalled up' 20
kib=$(grown)
echo "$kib KiB for 5 uploads that nobody reads"
between "KiB for 5 uploads that nobody reads" -16384 16384 "$kib"
still 1 page
touch on
for number in 1 2 3 4 5; do
    wait "${uploads[number - 1]}" || fail "upload $number failed"
    equal "upload $number" "$(hash 30000000)" "$(cat "upload$number")"
done
