#!/usr/bin/env bash
# A real client of Minecraft's list of servers reads the words of a listener that is being worked on, and the server's own again
# afterwards.
source "$(dirname "$0")/../lib.sh"

# From PyPI, 100 KB; kept for later runs. (Apache licence.)
MCSTATUS_VERSION=14.2.0
MCSTATUS=$ROOT/target/tools/mcstatus-$MCSTATUS_VERSION

install_mcstatus() {
    local folder=$MCSTATUS.$$
    # In one step: an installation that was cut off must not be taken for a whole one.
    timeout 60 "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input --target "$folder" \
        "mcstatus==$MCSTATUS_VERSION" >pip.log 2>&1 && mv -T "$folder" "$MCSTATUS"
}

if [ ! -d "$MCSTATUS" ]; then
    "$PYTHON" -m pip --version >/dev/null 2>&1 || skip "pip is not installed, which would fetch mcstatus (Debian: python3-pip)"
    install_mcstatus || skip "pip could not install mcstatus: $(tail -n 1 pip.log)"
fi

# config MAINTENANCE
config() {
    with_admin <<TOML
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
maintenance = $1
[listeners.game.messages]
protocol = "minecraft"
maintenance = "Back in {retry_after} s. Größeres Update!"
[pools.game]
backends = ["127.0.0.1:$(cat closed.port)"]
TOML
}

free_port >closed.port
config true >portti.toml
launch_portti
await_started
PORT=$(listener_port game)
client ping "$MCSTATUS" "$PORT" >told.json
equal "the words" "Back in 30 s. Größeres Update!" "$(jq -r .motd told.json)"
equal "the protocol's version" 772 "$(jq .protocol told.json)"
equal "and the ping" true "$(jq .ping told.json)"
# One for the status, one for the ping.
eventually '[ "$(metric portti_sessions_total reason=denied)" = 2 ]' 3

config false >portti.toml
signal_portti HUP
eventually '[ "$(status .config.generation)" = 2 ]' 5
client ping "$MCSTATUS" "$PORT" >told.json 2>error.log && fail "there is no server, and no words for that"
equal "still" 2 "$(metric portti_sessions_total reason=denied)"
