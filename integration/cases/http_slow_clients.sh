#!/usr/bin/env bash
# A thousand clients that send the head of a request a byte at a time, and as many that never finish a body: each is ended in its time,
# what they cost is bounded, their servers are not blamed, and others are served meanwhile.
source "$(dirname "$0")/../lib.sh"

[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 6000 ] || skip "needs 6000 open files, the hard limit is $(ulimit -Hn)"

start_backend web web
start_backend sink silent
start_portti <<TOML
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
header_timeout = "3s"
[[listeners.web.routes]]
path = "/sink"
pool = "sink"
[pools.web]
backends = ["$(address_of web)"]
request_timeout = "1s"
[pools.sink]
backends = ["$(address_of sink)"]
idle_timeout = "2s"
TOML
front=http://127.0.0.1:$(listener_port web)

memory() {
    awk '/^VmRSS/ { print $2 }' "/proc/$(portti_pid)/status"
}
page() {
    [ "$(curl -sS --max-time 2 "$front/" | cut -d ' ' -f 1)" = 0 ]
}

start_client others keepalive "$(listener_port web)" --clients 10 --progress others.progress
eventually '[ "$(cat others.progress)" -gt 100 ]' 5

# An upload may take longer than its server may take to answer it.
head -c 300000 /dev/zero >upload
curl -sS --max-time 20 --limit-rate 100k -T upload -w '%{http_code}\n' "$front/slow-upload" >upload.said 2>&1 &
upload=$!
before=$(memory)
start_client heads slow "$(listener_port web)" --begin 'GET / HTTP/1.1\r\nX: ' --ready heads.ready
eventually '[ -f heads.ready ] && [ "$(status .sessions_active)" -ge 1000 ]' 10
grown=$(($(memory) - before))
echo "$grown KiB for 1000 slow heads"
still 1 page
await_client heads
# A byte that came too late makes a reset of the end.
equal "how slow heads were answered" '[]' "$(report heads '.ends | keys - ["", "reset"] | tojson')"
between "when the first was ended" 3 4.5 "$(report heads .first)"
between "when the last was ended" 3 7 "$(report heads .last)"
between "KiB for them" 0 32768 "$grown"
equal "their reason" 1000 "$(metric portti_sessions_total reason=preread_timeout)"

before=$(memory)
start_client bodies slow "$(listener_port web)" --ready bodies.ready --drip "" \
    --begin 'POST /sink HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\nbegun'
eventually '[ -f bodies.ready ] && [ "$(metric portti_requests_in_flight)" -ge 1000 ]' 10
grown=$(($(memory) - before))
echo "$grown KiB for 1000 slow bodies"
still 1 page
await_client bodies
equal "how slow bodies were answered" '{"HTTP/1.1 408 Request Timeout":1000}' "$(report bodies '.ends | tojson')"
between "when the first was ended" 2 3.5 "$(report bodies .first)"
between "when the last was ended" 2 6 "$(report bodies .last)"
between "KiB for them" 0 65536 "$grown"
equal "their reason" 1000 "$(request_log 'select(.reason == "body_timeout" and .status == 408) | .path' | grep -cx /sink)"
equal "failures counted against servers" 0 "$(metric portti_backend_failures_total)"
wait $upload || fail "the slow upload failed: $(cat upload.said)"
equal "what the slow upload was answered" "300000 200" "$(awk 'NR == 1 { size = $1 } END { print size, $1 }' upload.said)"

stop_client others
echo "$(report others .answered) requests of others"
equal "failed requests of others" 0 "$(report others .failed)"
