#!/usr/bin/env bash
# Of five backends, two are killed and restarted at random for a minute, under load. No session on a live backend fails, new
# ones fail at most in the moment of a kill, and the metrics say what the clients saw.
source "$(dirname "$0")/../lib.sh"

SECONDS_OF_CHAOS=60
# From a kill until nobody is sent there any more: a check each 200 ms, give or take, and a refused connect goes elsewhere.
DETECTION_MS=1000

for name in one two three four five; do start_backend "$name" named; done
backends=()
for name in one two three four five; do backends+=("\"$(address_of "$name")\""); done
start_portti <<TOML
$GAME
backends = [$(IFS=,; echo "${backends[*]}")]
retry_backoff = "10ms"
[pools.game.breaker]
open_for = "1s"
[pools.game.health]
type = "exchange"
expect = "regex:^[0-9]+\n"
interval = "200ms"
timeout = "200ms"
rise = 1
fall = 1
TOML

start_client players chaos "$(listener_port game)" --sessions 40 --seconds "$SECONDS_OF_CHAOS"
: >kills.txt
deadline=$(($(now_ms) + SECONDS_OF_CHAOS * 1000))
declare -A lives=([one]=yes [two]=yes) ports=([one]=$(port_of one) [two]=$(port_of two))
while [ "$(now_ms)" -lt "$deadline" ]; do
    name=$([ $((RANDOM % 2)) = 0 ] && echo one || echo two)
    if [ "${lives[$name]}" = yes ]; then
        echo "${ports[$name]} $(now_ms)" >>kills.txt
        kill_backend "$name"
        lives[$name]=no
    else
        start_backend "$name" named --port "${ports[$name]}"
        lives[$name]=yes
    fi
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
done
await_client players
between "kills" 10 200 "$(wc -l <kills.txt)"
between "sessions" 1000 1000000 "$(report players .sessions)"

# Every failure has a kill of its server just before it; one that never learned its server has any kill.
jq -r '.failures[] | "\(.server) \(.began) \(.ended) \(.error)"' players.json >failures.txt
unexplained=$(awk -v detection="$DETECTION_MS" '
    NR == FNR { port[NR] = $1; at[NR] = $2; kills = NR; next }
    {
        explained = 0
        for (i = 1; i <= kills; i++)
            if (($1 == "null" || $1 == port[i]) && at[i] >= $2 - detection && at[i] <= $3) explained = 1
        if (!explained) print
    }' kills.txt failures.txt)
equal "failures without a kill" "" "$unexplained"
for name in three four five; do
    equal "failures on a live backend" 0 "$(grep -c "^$(port_of "$name") " failures.txt || true)"
done

# The metrics are the clients' own figures.
eventually '[ "$(metric portti_sessions_active)" = 0 ]' 5
equal "sessions" "$(report players .sessions)" "$(metric portti_sessions_total)"
# A kill in the very moment of a close may look different from either side.
completed=$(report players .completed)
between "completed sessions" $((completed - 3)) $((completed + 3)) "$(metric portti_sessions_total reason=client_closed)"
for name in three four five; do
    equal "sessions on $name" "$(report players ".by_server[\"$(port_of "$name")\"]")" \
        "$(metric portti_backend_sessions_total backend="$(address_of "$name")")"
done
failed=$(report players '.failures | length')
# Of a session that broke, bytes may have been under way.
[ "$failed" -gt 0 ] || equal "bytes down" "$(report players .received)" "$(metric portti_bytes_total direction=down)"
between "bytes up" 1 "$(report players .sent)" "$(metric portti_bytes_total direction=up)"
between "bytes down" "$(report players .received)" 1000000000000 "$(metric portti_bytes_total direction=down)"
equal "connects that failed for a player" 0 "$(metric portti_sessions_total reason=connect_failed)"
between "openings and falls" 10 100000 "$(($(metric portti_health_checks_total result=failed) + $(metric portti_backend_circuit_transitions_total to=open)))"
