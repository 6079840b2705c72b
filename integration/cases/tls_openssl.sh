#!/usr/bin/env bash
# OpenSSL's own client and curl speak TLS with portti: versions, protocols, names, resumption, client certificates; and rubbish.
source "$(dirname "$0")/../lib.sh"
need_openssl

authority ca
authority stranger
certificate one ca one.example.com
certificate two ca two.example.com
certificate alex ca alex
certificate mallory stranger mallory
start_backend echo echo
mkdir www
echo "welcome" >www/index.html
free_port >web.port
"$PYTHON" -m http.server --bind 127.0.0.1 --directory www "$(port_of web)" >web.log 2>&1 &
eventually 'listening "$(port_of web)"' 10
start_portti <<TOML
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[listeners.game.tls]
certificates = [{ cert = "one.pem", key = "one.key" }, { cert = "two.pem", key = "two.key" }]
alpn = ["minecraft", "h2"]
[listeners.players]
bind = "127.0.0.1:0"
pool = "game"
[listeners.players.tls]
certificates = [{ cert = "one.pem", key = "one.key" }]
client_auth = "required"
client_ca = "ca.pem"
min_version = "1.3"
[listeners.web]
bind = "127.0.0.1:0"
pool = "web"
[listeners.web.tls]
certificates = [{ cert = "two.pem", key = "two.key" }]
[listeners.named]
bind = "127.0.0.1:0"
tls = { certificates = [{ cert = "one.pem", key = "one.key" }] }
sni = [{ host = ["one.example.com", "*.one.example.com"], pool = "game" }]
[pools.game]
backends = ["$(address_of echo)"]
[pools.web]
backends = ["$(address_of web)"]
TOML

# s_client LISTENER ARGUMENT...: says hello, and prints what OpenSSL says of the connection, and the echo.
s_client() {
    # It ends when its input does; what comes back until then is printed.
    (echo hello; sleep 0.5) | timeout 10 openssl s_client -connect "127.0.0.1:$(listener_port "$1")" -CAfile ca.pem \
        -verify_return_error "${@:2}" 2>&1
}

for version in 1_2 1_3; do
    s_client game -servername one.example.com "-tls$version" >said || fail "TLS $version: $(tail -n 3 said)"
    contains "TLS $version" "TLSv${version/_/.}" said
    contains "the echo" 'hello$' said
    contains "the certificate" 'subject=.*one.example.com' said
    contains "verified" 'Verif(y|ication).*(0 \(ok\)|OK)' said
done
s_client game -servername two.example.com >said
contains "the certificate by name" 'subject=.*two.example.com' said
s_client game -servername three.example.com >said
contains "the first certificate for others" 'subject=.*one.example.com' said
s_client game -alpn "http/1.1,h2" >said
contains "the protocol that was agreed on" 'ALPN protocol: h2' said
if s_client game -alpn "http/1.1" >said; then fail "no protocol in common, and yet a connection"; fi

# A dot at the end of a name, and capital letters, make no other name of it.
for name in one.example.com one.example.com. ONE.Example.com. eu.one.example.com.; do
    s_client named -servername "$name" >said || fail "$name: $(tail -n 3 said)"
    contains "the echo of $name" 'hello$' said
done
eventually '[ "$(access_log "select(.listener == \"named\") | .server_name" | grep -c "one.example.com$")" = 4 ]' 5

# Resumption, by both ways of it.
for version in 1_2 1_3; do
    s_client game "-tls$version" -sess_out "session$version" >said
    s_client game "-tls$version" -sess_in "session$version" >said
    contains "TLS $version goes on" '^Reused, ' said
done

# Clients with certificates.
s_client players -cert alex.pem -key alex.key >said
contains "the echo" 'hello$' said
s_client players >said || true
if grep -q 'hello$' said; then fail "somebody without a certificate was let in"; fi
s_client players -cert mallory.pem -key mallory.key >said || true
if grep -q 'hello$' said; then fail "a stranger was let in"; fi
if s_client players -tls1_2 -cert alex.pem -key alex.key >said; then fail "TLS 1.2 was spoken"; fi

# A certificate of version 1 is none that clients may show.
openssl req -newkey rsa:2048 -nodes -keyout old.key -out old.csr -subj /CN=old 2>/dev/null
openssl x509 -req -in old.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out old.pem 2>/dev/null
if openssl x509 -in old.pem -noout -text | grep -q 'Version: 1 '; then
    s_client players -cert old.pem -key old.key >said || true
    if grep -q 'hello$' said; then fail "a certificate of version 1 was believed"; fi
    eventually 'access_log .why | grep -q UnsupportedCertVersion' 5
fi

equal "the page" welcome "$(curl -sS --max-time 5 --cacert ca.pem --resolve "two.example.com:$(listener_port web):127.0.0.1" \
    "https://two.example.com:$(listener_port web)/")"
# A name that the certificate is not for, and plain HTTP.
if curl -s --max-time 5 --cacert ca.pem --resolve "three.example.com:$(listener_port web):127.0.0.1" \
    "https://three.example.com:$(listener_port web)/" >/dev/null; then fail "curl believed another's certificate"; fi
if curl -s --max-time 5 "http://127.0.0.1:$(listener_port web)/" >/dev/null; then fail "plain HTTP was answered"; fi
eventually '[ "$(access_log .reason | grep -c tls_failed)" -ge 5 ]' 5
access_log 'select(.reason == "tls_failed") | .why' >why
contains "why" 'NoCertificatesPresented|no certificates' why
echo "reasons:" && sort why | uniq -c
equal "sessions that were broken off" 0 "$(metric portti_sessions_total reason=killed)"
