#!/usr/bin/env bash
# Two web servers with certificates of their own on one port, by name: curl and OpenSSL speak with them through portti, undecrypted.
source "$(dirname "$0")/../lib.sh"
need_openssl

authority ca
for name in eu us; do
    certificate $name ca $name.example.com
    free_port >$name.port
    openssl s_server -accept "127.0.0.1:$(port_of $name)" -cert $name.pem -key $name.key -www -quiet >$name.log 2>&1 &
done
eventually 'listening "$(port_of eu)"' 10
eventually 'listening "$(port_of us)"' 10
start_portti <<TOML
[listeners.web]
bind = "127.0.0.1:0"
[[listeners.web.sni]]
host = "eu.example.com"
pool = "eu"
[[listeners.web.sni]]
host = "*.example.com"
pool = "us"
[pools.eu]
backends = ["$(address_of eu)"]
[pools.us]
backends = ["$(address_of us)"]
TOML
port=$(listener_port web)

for name in eu us; do
    host=$name.example.com
    curl -sS --max-time 5 --cacert ca.pem --resolve "$host:$port:127.0.0.1" "https://$host:$port/" >page
    contains "the page of $host" 's_server|Cipher' page
    eventually "[ \"\$(access_log 'select(.server_name == \"$host\") | .pool' | tail -n 1)\" = $name ]" 5
done
# TLS 1.2 has its messages in other records; and what is not known is told so.
echo Q | openssl s_client -connect "127.0.0.1:$port" -servername eu.example.com -CAfile ca.pem -tls1_2 >said 2>&1 || true
contains "TLS 1.2" 'Verif(y|ication).*(0 \(ok\)|OK)' said
if echo Q | openssl s_client -connect "127.0.0.1:$port" -servername example.org >said 2>&1; then fail "example.org was served"; fi
contains "the alert" 'unrecognized name' said
equal "without a name" 1 "$(echo Q | openssl s_client -connect "127.0.0.1:$port" -noservername >said 2>&1; echo $?)"
eventually '[ "$(metric portti_sessions_total reason=preread_invalid)" = 2 ]' 5
