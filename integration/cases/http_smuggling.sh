#!/usr/bin/env bash
# Requests that two readers could see end in two places, each with another one hidden in it: all are answered with 400 and an end, and
# neither what can be read in two ways nor what is hidden there reaches nginx. What looks like that and is sound passes.
source "$(dirname "$0")/../lib.sh"
peer nginx

free_port >web.port
start_nginx web <<CFG
    log_format line "\$request";
    server {
        listen $(address_of web);
        access_log $PWD/requests.log line;
        location / { return 200 "well\n"; }
    }
CFG
start_backend sink web
start_portti <<TOML
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
[listeners.sink]
bind = "127.0.0.1:0"
mode = "http"
pool = "sink"
[pools.web]
backends = ["$(address_of web)"]
[pools.sink]
backends = ["$(address_of sink)"]
TOML

hidden='GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'
post='POST /bad HTTP/1.1\r\nHost: a\r\n'
chunked='Transfer-Encoding: chunked\r\n'
cat >bad <<CASES
cl_te	${post}Content-Length: 4\r\n${chunked}\r\n0\r\n\r\n$hidden
te_cl	${post}${chunked}Content-Length: 4\r\n\r\n28\r\n$hidden\r\n0\r\n\r\n
te_cl_0	${post}${chunked}Content-Length: 0\r\n\r\n0\r\n\r\n$hidden
two_cls	${post}Content-Length: 0\r\nContent-Length: 33\r\n\r\n$hidden
same_cl_twice	${post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n$hidden
cl_list	${post}Content-Length: 0, 33\r\n\r\n$hidden
cl_plus	${post}Content-Length: +0\r\n\r\n$hidden
cl_minus	${post}Content-Length: -0\r\n\r\n$hidden
cl_underscore	${post}Content-Length: 3_3\r\n\r\n$hidden
cl_wraps	${post}Content-Length: 18446744073709551616\r\n\r\n$hidden
obs_fold_te	${post}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n$hidden
obs_fold_cl	${post}Content-Length: 0\r\n 33\r\n\r\n$hidden
bare_lf_head	POST /bad HTTP/1.1\nHost: a\nContent-Length: 0\n\n$hidden
bare_lf_te	${post}X: y\n${chunked}Content-Length: 0\r\n\r\n$hidden
bare_cr	${post}X: y\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n$hidden
space_before_colon	${post}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n$hidden
tab_before_colon	${post}Content-Length\t: 33\r\n\r\n$hidden
space_before_name	POST /bad HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n\r\n$hidden
xchunked	${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n$hidden
chunked_twice	${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n$hidden
chunked_not_last	${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n$hidden
quoted_chunked	${post}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n$hidden
vertical_tab	${post}Transfer-Encoding: \x0bchunked\r\nContent-Length: 0\r\n\r\n$hidden
nul_in_name	${post}Transfer-Encoding\x00: chunked\r\nContent-Length: 0\r\n\r\n$hidden
te_by_1_0	POST /bad HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n${chunked}\r\n0\r\n\r\n$hidden
te_cl_by_1_0	POST /bad HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n${chunked}Content-Length: 5\r\n\r\n0\r\n\r\n$hidden
version_2	POST /bad HTTP/2.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n$hidden
version_1_2	POST /bad HTTP/1.2\r\nHost: a\r\nContent-Length: 0\r\n\r\n$hidden
no_version	GET /bad\r\n$hidden
space_in_target	GET /bad /x HTTP/1.1\r\nHost: a\r\n\r\n$hidden
CASES
# Their heads are sound, and on their way before the body shows what it is: they may reach a server, which must not see their end.
cat >bad_bodies <<CASES
chunk_bare_lf	${post}${chunked}\r\n1;\na\r\n0\r\n\r\n$hidden
chunk_size_lf	${post}${chunked}\r\n1\na\r\n0\r\n\r\n$hidden
chunk_size_space	${post}${chunked}\r\n0 \r\n\r\n$hidden
chunk_size_hex	${post}${chunked}\r\n0x0\r\n\r\n$hidden
chunk_size_minus	${post}${chunked}\r\n-0\r\n\r\n$hidden
chunk_size_wraps	${post}${chunked}\r\n10000000000000000\r\n\r\n$hidden
chunk_extension_cr	${post}${chunked}\r\n0;a\rb\r\n\r\n$hidden
chunk_extension_nul	${post}${chunked}\r\n0;\x00\r\n\r\n$hidden
chunk_data_too_long	${post}${chunked}\r\n1\r\nab\r\n0\r\n\r\n$hidden
chunk_end_lf	${post}${chunked}\r\n1\r\na\n0\r\n\r\n$hidden
trailer_cl	${post}${chunked}\r\n0\r\nContent-Length: 33\r\n\r\n$hidden
trailer_fold	${post}${chunked}\r\n0\r\nX: y\r\n z\r\n\r\n$hidden
CASES
next='GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
cat >good <<CASES
two_requests	GET /good HTTP/1.1\r\nHost: a\r\n\r\n$next
length	POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhello$next
length_by_1_0	POST /good HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello$next
chunks	POST /good HTTP/1.1\r\nHost: a\r\n${chunked}\r\n5;x="y\tz"\r\nhello\r\n000\r\nX: y\r\n\r\n$next
absolute_form	GET http://a/good HTTP/1.1\r\nHost: a\r\n\r\n$next
body_like_a_request	POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n$hidden$next
CASES
# Nobody is in doubt where these end: the next request is one.
cat >wrong_hosts <<CASES
absolute_mismatch	POST http://b/bad HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n$next
absolute_port_mismatch	POST http://a:81/bad HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n$next
two_hosts	POST /bad HTTP/1.1\r\nHost: a\r\nhost: b\r\nContent-Length: 0\r\n\r\n$next
CASES

client raw "$(listener_port web)" <good >good.said
sed 's/\t.*/ 200 200 closed/' good | diff - good.said || fail "what is sound was not taken"
equal "what nginx has seen of it" 12 "$(wc -l <requests.log)"
: >requests.log

client raw "$(listener_port web)" <bad >bad.said
sed 's/\t.*/ 400 closed/' bad | diff - bad.said || fail "what is ambiguous was not refused"
equal "what nginx has seen of it" "" "$(cat requests.log)"
client raw "$(listener_port sink)" <bad_bodies >bad_bodies.said
sed 's/\t.*/ 400 closed/' bad_bodies | diff - bad_bodies.said || fail "bodies that are ambiguous were not refused"
if grep -E '^end|/hidden' sink.log; then fail "a server has taken one of them as whole"; fi
client raw "$(listener_port web)" <wrong_hosts >wrong_hosts.said
sed 's/\t.*/ 400 closed/' wrong_hosts | diff - wrong_hosts.said || fail "what names two hosts was not refused"
if grep -E '/hidden|http:' requests.log; then fail "what was hidden has reached nginx"; fi
# None of that is held against a server: five failures would have closed it to everybody.
equal "failures counted against servers" 0 "$(metric portti_backend_failures_total)"
equal "the page" well "$(curl -sS --max-time 5 "http://127.0.0.1:$(listener_port web)/")"
contains "who got a body" "^0 " <(curl -sS --max-time 5 --data "" "http://127.0.0.1:$(listener_port sink)/sink")
