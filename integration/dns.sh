# For cases about names: a real dnsmasq on a port of its own, which answers what the case wrote.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DNSMASQ=$(command -v dnsmasq || command -v /usr/sbin/dnsmasq) || skip "dnsmasq is not installed (Debian: dnsmasq-base)"

# start_dns [OPTION...]: answers from now on as these options say, and with NXDOMAIN to all else. TTLs are 1 s.
start_dns() {
    [ -f dns.port ] || free_port >dns.port
    rm -f dns.log
    "$DNSMASQ" --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --no-daemon --log-queries --log-facility=- \
        --listen-address=127.0.0.1 --bind-interfaces --port="$(port_of dns)" --pid-file= --user= \
        --local=/test/ --local-ttl=1 --auth-ttl=1 "$@" >dns.log 2>&1 &
    echo $! >dns.pid
    eventually 'grep -q "started, version" dns.log' 5
}

# restart_dns [OPTION...]: answers something else from now on.
restart_dns() {
    kill_backend dns
    start_dns "$@"
}

# start_named BACKENDS [KEYS]: a proxy whose pool has these entries.
start_named() {
    start_portti <<TOML
[dns]
servers = ["127.0.0.1:$(port_of dns)"]
timeout = "300ms"
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[pools.game]
backends = [$1]
${2:-}
TOML
}

# backends: the pool's backends now, in one line.
backends() {
    status '[.pools[0].backends[].address] | sort | join(" ")'
}
