# For cases in which portti is supervised, as by systemd. Sourced after lib.sh.
# shellcheck shell=bash

# start_supervised WATCHDOG_USEC <<TOML: as start_portti, on the port GAME_PORT; what the supervisor hears is in heard.json.
# Does not wait for the start.
start_supervised() {
    GAME_PORT=$(free_port)
    "$PYTHON" "$INTEGRATION/supervisor.py" "$PWD/notify" "$GAME_PORT" >heard.json 2>supervisor.log &
    eventually '[ -S notify ]' 10
    with_admin >portti.toml
    sed -i "s/GAME_PORT/$GAME_PORT/" portti.toml
    export NOTIFY_SOCKET=$PWD/notify WATCHDOG_USEC=$1
    launch_portti
    unset NOTIFY_SOCKET WATCHDOG_USEC
}

# heard JQ: what it has heard, each datagram through a jq filter.
heard() {
    jq -c "$1 // empty" heard.json
}

pings() {
    heard .WATCHDOG | wc -l
}

# pings_within SECONDS: how many signs of life come meanwhile.
pings_within() {
    local before
    before=$(pings)
    sleep "$1"
    echo $(($(pings) - before))
}
