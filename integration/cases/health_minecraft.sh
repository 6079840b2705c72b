#!/usr/bin/env bash
# Checks of type minecraft against a real server, flying-squid: up with its number of players, down when it is killed, and up
# again when it is back.
source "$(dirname "$0")/../lib.sh"

# From npm, 500 MB with the data of all versions of the game; kept for later runs. (MIT licence.)
SQUID_VERSION=1.12.0
SQUID=$ROOT/target/tools/flying-squid-$SQUID_VERSION

install_squid() {
    local folder=$SQUID.$$
    mkdir -p "$folder"
    # Without its packages' own scripts, which it does not need. The case's own time is longer than this.
    if timeout 80 npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error \
        "flying-squid@$SQUID_VERSION" >npm.log 2>&1; then
        # In one step: an installation that was cut off must not be taken for a whole one.
        mv -T "$folder" "$SQUID"
    else
        rm -rf "$folder"
        return 1
    fi
}

command -v node >/dev/null || skip "node is not installed (Debian: nodejs)"
if [ ! -d "$SQUID" ]; then
    command -v npm >/dev/null || skip "npm is not installed, which would fetch flying-squid (Debian: npm)"
    install_squid || skip "npm could not install flying-squid: $(grep -m 1 'npm error' npm.log || echo 'it took too long')"
fi

free_port >squid.port
start_squid() {
    node "$INTEGRATION/backends/flying_squid.js" "$SQUID" "$(port_of squid)" >>squid.log 2>&1 &
    echo $! >squid.pid
}

# health VERDICT: what the checks say of the server.
health() {
    [ "$(backend_status squid health)" = "$1" ]
}

start_squid
start_portti <<TOML
[listeners.minecraft]
bind = "127.0.0.1:0"
pool = "minecraft"
[pools.minecraft]
backends = ["$(address_of squid)"]
[pools.minecraft.health]
type = "minecraft"
interval = "300ms"
timeout = "1s"
TOML

eventually 'health up' 30
equal "last check" true "$(backend_status squid last_check.ok)"
equal "players in the status" 0 "$(backend_status squid players)"
admin /metrics >metrics.txt
contains "players in the metrics" \
    "^portti_backend_players\{pool=\"minecraft\",backend=\"$(address_of squid)\"\} 0\$" metrics.txt

kill_backend squid
eventually 'health down' 10
equal "why" "connect: refused" "$(backend_status squid last_check.error)"

start_squid
eventually 'health up' 30
still 2 'health up'
