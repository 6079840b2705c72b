#!/usr/bin/env bash
# What curl can ask for, by HTTP/1.1, by HTTP/2 plain and by TLS: answers without a body, trailers, uploads that wait for a go-ahead.
source "$(dirname "$0")/../lib.sh"
need_openssl
curl --version | grep -q HTTP2 || skip "this curl does not speak HTTP/2"

start_backend web web
start_web_portti
head -c 300000 /dev/urandom >upload
hash=$(sha256sum <upload)
hash="300000 ${hash%% *}"

# ask OPTION...: the last word is the path. Sets ANSWER, its head in the file answer.head, and its status in STATUS.
ask() {
    STATUS=$(curl -sS --max-time 5 "${how[@]}" -D answer.head -o answer -w '%{http_code}' "${@:1:$#-1}" "$base${!#}") ||
        fail "curl ${how[*]} $*: no answer"
    tr '[:upper:]' '[:lower:]' <answer.head >lower
    ANSWER=$(cat answer 2>/dev/null || true)
    rm -f answer
}

check() {
    ask --head /bytes/5000
    equal "status of HEAD" 200 "$STATUS"
    contains "the length that HEAD tells" '^content-length: 5000' lower
    equal "its body" "" "$(grep -v : answer.head | grep -v HTTP | tr -d '\r\n')"

    for status in 204 304; do
        ask /status/$status
        equal "status" "$status $1" "$STATUS $(sed -nE '1s/^HTTP\/([0-9.]+).*/\1/p' answer.head)"
        equal "its body" "" "$ANSWER"
        contains "its validator" '^etag: "7"' lower
        if grep -Eiq '^(transfer-encoding|content-length)' answer.head; then fail "a $status with a length"; fi
    done

    ask -T upload /sink
    equal "an upload of known length" "200 $hash" "$STATUS $ANSWER"
    ask -T - /sink <upload
    equal "one of unknown length" "200 $hash" "$STATUS $ANSWER"
    ask -H "Expect: 100-continue" -T upload /sink
    equal "one that waits for leave" "200 $hash" "$STATUS $ANSWER"
    # By HTTP/2 nobody has to wait for it.
    [ "$1" = 2 ] || contains "the leave" '^HTTP/1.1 100' answer.head
    ask -X DELETE /sink
    equal "a DELETE without a body" "200 0" "$STATUS ${ANSWER%% *}"
    ask -H "TE: trailers" /trailers
    equal "an answer with trailers" 200 "$STATUS"
    contains "the trailer" '^x-sum: 42' lower
}

base=http://127.0.0.1:$(listener_port web)
how=(--http1.1)
check 1.1
how=(--http2-prior-knowledge)
check 2
base=https://web.example.com:$(listener_port secure)
how=(--http1.1 --cacert ca.pem --resolve "web.example.com:$(listener_port secure):127.0.0.1")
check 1.1
how[0]=--http2
check 2

# curl has no trailers of its own to send.
said=$(client talk "$(listener_port web)" --send $'POST /trailers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: trailers\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Up: 7\r\n\r\n' | jq -r .received)
contains "what the server got behind the body" '^x-up: 7' <(tr '[:upper:]' '[:lower:]' <<<"$said")
contains "what the client got behind the body" '^x-sum: 42' <(tr '[:upper:]' '[:lower:]' <<<"$said")
