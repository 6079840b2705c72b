#!/usr/bin/env bash
# curl by HTTP/1.1, by HTTP/2 plain and by TLS, through portti to a real nginx; many requests on few connections, which nginx closes after
# each ten; and a stop while requests are under way.
source "$(dirname "$0")/../lib.sh"
need_openssl
peer nginx

free_port >web.port
mkdir www
echo "welcome" >www/index.html
head -c 3000000 /dev/urandom >www/large
start_nginx web <<CFG
    keepalive_requests 10;
    server {
        listen $(address_of web);
        location / { root $PWD/www; }
        location /who { return 200 "\$http_x_forwarded_for \$http_x_forwarded_proto \$host\n"; }
        location /slow { root $PWD/www; limit_rate 1m; rewrite .* /large break; }
    }
CFG
start_web_portti
plain=http://127.0.0.1:$(listener_port web)
secure=https://web.example.com:$(listener_port secure)
to_secure=(--cacert ca.pem --resolve "web.example.com:$(listener_port secure):127.0.0.1")

for version in --http1.1 --http2-prior-knowledge; do
    equal "the page by $version" welcome "$(curl -sS --max-time 5 $version "$plain/")"
    equal "who it was by $version" "127.0.0.1 http 127.0.0.1" "$(curl -sS --max-time 5 $version "$plain/who")"
done
for version in 1.1 2; do
    equal "the version" "$version" "$(curl -sS --max-time 5 "--http$version" "${to_secure[@]}" -o page -w '%{http_version}' "$secure/")"
    equal "the page by TLS" welcome "$(cat page)"
    equal "who it was by TLS" "127.0.0.1 https web.example.com" \
        "$(curl -sS --max-time 5 "--http$version" "${to_secure[@]}" "$secure/who")"
done
curl -sS --max-time 20 --http2-prior-knowledge "$plain/large" | cmp - www/large || fail "a large file came otherwise"

# 400 requests on four connections at a time.
seq 400 | sed "s|.*|url = \"$plain/\"|" >urls
curl -sS --max-time 60 --parallel --parallel-max 4 -K urls >pages 2>curl.errors || fail "$(cat curl.errors)"
equal "pages" 400 "$(grep -c '^welcome$' pages)"
equal "answers that were not well" 0 "$(request_log 'select(.status != 200) | .status' | wc -l)"

# What is under way when it is told to stop ends well, and the connection with it.
curl -sS --max-time 20 "$plain/slow" >slow 2>slow.errors &
slow=$!
eventually '[ "$(metric portti_requests_in_flight listener=web)" = 1 ]' 5
signal_portti TERM
wait $slow || fail "a request was broken off: $(cat slow.errors)"
cmp slow www/large || fail "the slow answer is not whole"
await_exit 10
equal "exit code" 0 "$EXIT_CODE"
