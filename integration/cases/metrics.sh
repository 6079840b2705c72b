#!/usr/bin/env bash
# All metrics of the contract are there, with their labels, and their sums are what the clients counted.
source "$(dirname "$0")/../lib.sh"

start_backend echo echo
start_backend gone echo
kill_backend gone
start_portti <<TOML
$GAME
balance = "round_robin"
backends = ["$(address_of echo)", "$(address_of gone)"]
breaker = { failures = 2 } # so that ten sessions are enough to open a circuit
TOML

port=$(listener_port game)
client load "$port" --sessions 10 --rounds 2 --bytes 1000 >load.json
equal "failed sessions" 0 "$(jq .failed load.json)"
eventually '[ "$(metric portti_sessions_total)" = 10 ]' 3
signal_portti HUP
echo "# edited" >>portti.toml
eventually '[ "$(status .config.generation)" -ge 2 ]' 3

equal "sessions by reason" 10 "$(metric portti_sessions_total listener=game reason=client_closed)"
equal "bytes up" 20000 "$(metric portti_bytes_total listener=game direction=up)"
equal "bytes down" 20000 "$(metric portti_bytes_total listener=game direction=down)"
equal "durations observed" 10 "$(metric portti_session_duration_seconds_count listener=game)"
equal "sessions of the backend" 10 "$(metric portti_backend_sessions_total pool=game backend="$(address_of echo)")"
between "connects observed" 10 20 "$(metric portti_backend_connect_seconds_count pool=game)"
retries=$(metric portti_connect_retries_total pool=game)
between "connect retries" 1 10 "$retries"
equal "failures of the dead backend" "$retries" \
    "$(metric portti_backend_failures_total pool=game backend="$(address_of gone)" reason=connect_failed)"
equal "eligible backends" "$(status '[.pools[].backends[] | select(.eligible)] | length')" \
    "$(metric portti_backend_eligible pool=game)"
equal "service level" 0 "$(metric portti_service_level)"
equal "draining" 0 "$(metric portti_draining)"
between "time of the last reload" $(($(date +%s) - 60)) $(($(date +%s) + 1)) \
    "$(metric portti_config_last_reload_timestamp_seconds)"
equal "build_info" 1 "$(metric portti_build_info version="$(status .version)")"

admin /metrics >metrics.txt
for name in sessions_active sessions_total session_duration_seconds bytes_total backend_sessions_active \
    backend_sessions_total backend_connect_seconds backend_failures_total backend_circuit_state \
    backend_circuit_transitions_total backend_eligible connect_retries_total accept_errors_total service_level draining \
    config_reloads_total config_last_reload_successful config_last_reload_timestamp_seconds build_info; do
    contains "the metrics" "^# TYPE portti_$name " metrics.txt
done
for name in process_cpu_seconds_total process_open_fds process_resident_memory_bytes process_start_time_seconds; do
    contains "the metrics" "^$name " metrics.txt
done
