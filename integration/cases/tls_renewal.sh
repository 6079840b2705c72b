#!/usr/bin/env bash
# Certificates are renewed while clients connect: every handshake is well, and soon all get the new one. The new files come through a
# symlink, as certbot leaves them; between the two files the old pair stands. A broken one stands in the deep health.
source "$(dirname "$0")/../lib.sh"
need_openssl

authority ca
mkdir archive live
start_backend echo echo
for number in 1 2 3; do
    certificate "archive/$number" ca game.example.com
done
ln -s ../archive/1.pem live/cert.pem
ln -s ../archive/1.key live/cert.key
start_portti <<TOML
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[listeners.game.tls]
certificates = [{ cert = "live/cert.pem", key = "live/cert.key" }]
[pools.game]
backends = ["$(address_of echo)"]
TOML

serial() {
    openssl x509 -in "$1" -noout -serial
}

# shown: the serial number that a new client is shown.
shown() {
    echo Q | openssl s_client -connect "127.0.0.1:$(listener_port game)" -servername game.example.com 2>/dev/null |
        openssl x509 -noout -serial
}

# switch FILE TARGET
switch() {
    ln -s "../archive/$2" live/new
    mv -T live/new "live/$1"
}

"$PYTHON" "$INTEGRATION/clients/handshakes.py" "$(listener_port game)" ca.pem game.example.com --ready ready >handshakes.json \
    2>handshakes.client.log &
echo $! >handshakes.client.pid
eventually '[ -e ready ]' 10
equal "at first" "$(serial archive/1.pem)" "$(shown)"
for number in 2 3 1 2 3; do
    switch cert.pem "$number.pem"
    switch cert.key "$number.key"
    # Nobody tells it.
    eventually "[ \"\$(shown)\" = \"$(serial "archive/$number.pem")\" ]" 15
done

# In the moment between the two files.
switch cert.pem 1.pem
signal_portti HUP
eventually 'admin /health/deep | grep -q "live/cert.key: the key is not that of the first certificate in live/cert.pem"' 5
equal "meanwhile" "$(serial archive/3.pem)" "$(shown)"
switch cert.key 1.key
eventually "[ \"\$(shown)\" = \"$(serial archive/1.pem)\" ]" 15
if admin /health/deep | grep -q "certificate:"; then fail "it still stands in the deep health"; fi
between "days that are left" 28 31 $((($(metric portti_certificate_not_after_seconds cert=live/cert.pem) - $(date +%s)) / 86400))

stop_client handshakes
echo "handshakes: $(cat handshakes.json)"
equal "failed handshakes" 0 "$(report handshakes .failed)"
between "handshakes" 100 1000000 "$(report handshakes .done)"
equal "sessions that failed" 0 "$(metric portti_sessions_total reason=tls_failed)"
