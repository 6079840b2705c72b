#!/usr/bin/env bash
# wrk and h2load, by HTTP/1.1, by HTTP/2 plain and by TLS, through portti to a real nginx: no error, and all three agree on how many
# requests there were.
# runs alone
source "$(dirname "$0")/../lib.sh"
need wrk wrk
need h2load nghttp2-client
need_openssl
peer nginx

free_port >web.port
start_nginx web <<CFG
    keepalive_requests 1000000;
    server {
        listen $(address_of web);
        location / { return 200 "welcome\n"; }
        location /count { stub_status; }
    }
CFG
start_web_portti
plain=http://127.0.0.1:$(listener_port web)/
secure=https://127.0.0.1:$(listener_port secure)/

# nginx's own count of its requests, without those that ask for it.
asked=0
requests_of_nginx() {
    asked=$((asked + 1))
    nginx_requests=$(($(curl -sS --max-time 5 "http://$(address_of web)/count" | awk 'NR == 3 { print $3 }') - asked))
}

# expect WHAT LOW HIGH: so many more requests since the last time, at nginx and in portti's metric, all of them answered by nginx.
before=0
expect() {
    local counted
    eventually '[ "$(metric portti_requests_in_flight)" = 0 ]' 5
    counted=$(metric portti_requests_total)
    requests_of_nginx
    echo "$1: $((counted - before)) requests"
    between "requests by $1 that portti counted" "$2" "$3" $((counted - before))
    between "requests by $1 that nginx counted" "$2" "$3" $((nginx_requests - before_nginx))
    before=$counted before_nginx=$nginx_requests
}
requests_of_nginx
before_nginx=$nginx_requests

run_wrk "$plain" 64 3
# What it had begun when its time was over is counted here, and not there.
expect wrk "$WRK_REQUESTS" $((WRK_REQUESTS + 64))

for how in "--h1 $plain" "$plain" "--h1 $secure" "$secure"; do
    # shellcheck disable=SC2086 # two words
    h2load -t 2 -c 32 -m 10 -n 20000 $how >h2load.out || fail "$(cat h2load.out)"
    equal "h2load $how" "20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout" \
        "$(sed -n 's/^requests: .* started, //p' h2load.out)"
    contains "statuses by h2load $how" '^status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx$' h2load.out
    expect "h2load $how" 20000 20000
done
# It agrees on HTTP/2 by ALPN, or else it would not have been spoken.
contains "what was spoken last" '^Application protocol: h2$' h2load.out
equal "answers other than 2xx" 0 $(($(metric portti_requests_total code_class=4xx) + $(metric portti_requests_total code_class=5xx)))
