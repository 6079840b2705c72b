#!/usr/bin/env bash
# A Battle for Wesnoth server behind portti: two players log in and chat, and go on with it after a reload.
source "$(dirname "$0")/../lib.sh"

WESNOTHD=$(command -v wesnothd || echo /usr/games/wesnothd-1.16)
[ -x "$WESNOTHD" ] || skip "no Wesnoth server (Debian: wesnoth-1.16-server)"

game_port=$(free_port)
# -t 1: one thread for the network is enough; the server wants a folder of its own for its files.
HOME=$PWD "$WESNOTHD" --port "$game_port" -t 1 >wesnothd.log 2>&1 &
eventually "client talk $game_port --until 0 | grep -q '\"end\": \"own\"'" 15

config() {
    with_admin <<TOML
[listeners.wesnoth]
bind = "127.0.0.1:0"
pool = "wesnoth"
[pools.wesnoth]
backends = ["127.0.0.1:$game_port"]
$1
TOML
}
config "" >portti.toml
launch_portti
await_started

start_client players wesnoth "$(listener_port wesnoth)" --ready ready --again again
eventually '[ -f ready ]' 20
equal "sessions" 2 "$(status .sessions_active)"

config 'idle_timeout = "2h"' >portti.toml.new
mv portti.toml.new portti.toml
eventually '[ "$(status .config.generation)" = 2 ]' 3
equal "sessions after the reload" 2 "$(status .sessions_active)"
touch again
await_client players
contains "the game server's greeting" '\[version\]' players.json
contains "what the players heard" 'good morning' players.json
contains "what they heard after the reload" 'good evening' players.json
eventually '[ "$(access_log .reason | sort -u)" = client_closed ]' 3
equal "access log lines" 2 "$(access_log .session | wc -l)"
