# Shared by the cases: starts portti, backends and clients, asks the admin address, waits and checks.
# run.sh starts each case in an empty directory of its own, so the files named here belong to one case.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C
unset RUST_LOG PORTTI_ADMIN PORTTI_TOKEN NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID

INTEGRATION=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$INTEGRATION")
PORTTI=${PORTTI:-$ROOT/target/release/portti}
# The system's own Python starts faster than a version manager's wrapper.
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=python3
export PYTHONDONTWRITEBYTECODE=1

# Names the portti that the helpers below talk about. A case with two of them says `INSTANCE=second start_portti`.
INSTANCE=portti

# What the admin server asks for, where a case has set it before it starts portti.
TOKEN=

# === Verdicts

# Names the case's line that led here, not the helper's.
fail() {
    local frame=0
    while [ "${BASH_SOURCE[frame + 1]}" = "${BASH_SOURCE[0]}" ]; do frame=$((frame + 1)); done
    echo "failed at ${BASH_SOURCE[frame + 1]##*/}:${BASH_LINENO[frame]}: $*" >&2
    exit 1
}

# The reason must be the last line: run.sh shows it.
skip() {
    echo "$*"
    exit 77
}

# need PROGRAM PACKAGE: skips the case where it is missing.
need() {
    command -v "$1" >/dev/null || skip "$1 is not installed (Debian: $2)"
}

now_ms() {
    echo $((${EPOCHREALTIME/./} / 1000))
}

# eventually COMMAND SECONDS: the only way a case waits for something.
eventually() {
    local command=$1 seconds=$2 deadline
    deadline=$(($(now_ms) + seconds * 1000))
    until eval "$command" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$deadline" ] || fail "not within $seconds s: $command"
        sleep 0.05
    done
}

# still SECONDS COMMAND: fails as soon as the command does; for what must not change.
still() {
    local seconds=$1 command=$2 deadline
    deadline=$(($(now_ms) + seconds * 1000))
    while [ "$(now_ms)" -lt "$deadline" ]; do
        eval "$command" >/dev/null 2>&1 || fail "no longer true: $command"
        sleep 0.05
    done
}

# equal WHAT EXPECTED ACTUAL
equal() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# between WHAT LOW HIGH ACTUAL, each of them a number, with or without a fraction.
between() {
    awk -v low="$2" -v high="$3" -v x="$4" 'BEGIN { exit !(x != "" && x + 0 >= low && x + 0 <= high) }' ||
        fail "$1: expected $2 to $3, got '$4'"
}

# contains WHAT PATTERN FILE: the file has a line with this extended regular expression.
contains() {
    grep -Eq -- "$2" "$3" || fail "$1: no line of $3 matches '$2'"
}

# === portti

# A port for a process that cannot say which one the kernel gave it. It lies below the range from which the kernel serves
# outgoing connections, so that no other case's client can take it before it is bound.
free_port() {
    "$PYTHON" - <<'PYTHON'
import random, socket
low = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
while True:
    port = random.randrange(max(1024, low - 20000), low)
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

# What most configs have: a listener on a port of the kernel's choice, and its pool, whose keys follow.
# shellcheck disable=SC2034
GAME='[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[pools.game]'

# Passes a config through and adds the admin address to its end, so that the lines before keep their numbers.
with_admin() {
    [ -f "$INSTANCE.admin" ] || echo "127.0.0.1:$(free_port)" >"$INSTANCE.admin"
    cat
    printf '\n[admin]\nbind = "%s"\n' "$(cat "$INSTANCE.admin")"
    [ -n "$TOKEN" ] || return 0
    echo "$TOKEN" >admin.token
    echo 'token_file = "admin.token"'
}

# Starts portti on the config that stands there. MAX_FILES limits its descriptors, hard and soft.
launch_portti() {
    (
        [ -z "${MAX_FILES:-}" ] || ulimit -n "$MAX_FILES"
        exec "$PORTTI" run --config "$INSTANCE.toml"
    ) >"$INSTANCE.out" 2>>"$INSTANCE.log" &
    echo $! >"$INSTANCE.pid"
}

portti_pid() {
    cat "$INSTANCE.pid"
}

portti_lives() {
    kill -0 "$(portti_pid)" 2>/dev/null
}

await_started() {
    eventually '[ "$(http_code /startupz)" = 200 ] || ! portti_lives' 15
    portti_lives || fail "portti ended instead of starting"
}

# start_portti <<TOML: the config without its [admin] section; returns when every listener is bound.
start_portti() {
    with_admin >"$INSTANCE.toml"
    launch_portti
    await_started
}

signal_portti() {
    kill "-$1" "$(portti_pid)"
}

# await_exit SECONDS: waits for the end of portti and sets EXIT_CODE.
await_exit() {
    eventually '! portti_lives' "$1"
    EXIT_CODE=0
    wait "$(portti_pid)" || EXIT_CODE=$?
}

# === What portti says

admin() {
    curl -sS --max-time 5 ${TOKEN:+-H "Authorization: Bearer $TOKEN"} "http://$(cat "$INSTANCE.admin")$1"
}

http_code() {
    curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://$(cat "$INSTANCE.admin")$1" || true
}

# status JQ: one value of /api/v1/status.
status() {
    admin /api/v1/status | jq -r "$1"
}

# backend_status NAME KEY: one value about the backend that `start_backend NAME` started.
backend_status() {
    status ".pools[].backends[] | select(.address == \"127.0.0.1:$(port_of "$1")\") | .$2" | head -n 1
}

# listener_port NAME: the port that a listener with port 0 really has.
listener_port() {
    local address
    address=$(status "[.listeners[] | select(.name == \"$1\") | .bind] | flatten | .[0]")
    echo "${address##*:}"
}

# metric NAME [LABEL=VALUE...]: the sum of all series that have these labels; 0 where there is none.
metric() {
    admin /metrics | awk -v name="$1" -v labels="${*:2}" '
        BEGIN { n = split(labels, wanted, " ") }
        /^#/ { next }
        $1 == name || index($1, name "{") == 1 {
            for (i = 1; i <= n; i++) {
                at = index(wanted[i], "=")
                pair = substr(wanted[i], 1, at - 1) "=\"" substr(wanted[i], at + 1) "\""
                if (!index($0, "{" pair) && !index($0, "," pair)) next
            }
            sum += $NF
        }
        END { printf "%.10g\n", sum }'
}

# access_log JQ: the access log lines about sessions so far, each through a jq filter.
access_log() {
    jq -rc "select(has(\"session\") and has(\"reason\") and (has(\"request\") | not)) | $1" "$INSTANCE.log"
}

# request_log JQ: the same for requests.
request_log() {
    jq -rc "select(has(\"request\")) | $1" "$INSTANCE.log"
}

# === Backends and clients

# start_backend NAME PROGRAM [OPTION...]: a server of backends/ on a port of the kernel's choice (or --port).
start_backend() {
    local name=$1 program=$2
    rm -f "$name.port"
    "$PYTHON" "$INTEGRATION/backends/$program.py" --port-file "$name.port" "${@:3}" >>"$name.log" 2>&1 &
    echo $! >"$name.pid"
    eventually "[ -s $name.port ]" 15
}

# kill_backend NAME: as a crash would.
kill_backend() {
    local pid
    pid=$(cat "$1.pid")
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
}

port_of() {
    cat "$1.port"
}

address_of() {
    echo "127.0.0.1:$(port_of "$1")"
}

# client PROGRAM ARGUMENT...: runs a program of clients/ and prints its report, a JSON object.
client() {
    "$PYTHON" "$INTEGRATION/clients/$1.py" "${@:2}"
}

# start_client NAME PROGRAM ARGUMENT...: the same in the background; its report goes to NAME.json.
start_client() {
    "$PYTHON" "$INTEGRATION/clients/$2.py" "${@:3}" >"$1.json" 2>"$1.client.log" &
    echo $! >"$1.client.pid"
}

# stop_client NAME: asks it to end and waits for its report.
stop_client() {
    kill -TERM "$(cat "$1.client.pid")" 2>/dev/null || true
    await_client "$1"
}

await_client() {
    wait "$(cat "$1.client.pid")" || fail "client $1 failed: $(cat "$1.client.log")"
}

# report NAME JQ: a value from the report of a client that has ended.
report() {
    jq -r "$2" "$1.json"
}

# run_wrk URL CONNECTIONS SECONDS: load by wrk, all of which must be answered with 2xx or 3xx; sets WRK_REQUESTS.
run_wrk() {
    wrk --threads 2 --connections "$2" --duration "$3" --timeout 10 "$1" >wrk.out 2>&1 || fail "$(cat wrk.out)"
    check_wrk wrk.out
}

# check_wrk FILE: what wrk has said there.
check_wrk() {
    WRK_REQUESTS=$(awk '/ requests in / { print $1 }' "$1")
    if grep -E 'Socket errors|Non-2xx' "$1" >wrk.errors; then fail "$(cat wrk.errors)"; fi
    [ "${WRK_REQUESTS:-0}" -gt 0 ] || fail "no requests: $(cat "$1")"
}

# holding NAME COUNT: true while that many sessions of a running load client have had an answer and are open.
holding() {
    [ "$(jq -r .open "$1.progress" 2>/dev/null)" = "$2" ]
}

# hold NAME PORT COUNT: sessions that keep exchanging bytes until stop_client; returns when all of them do.
hold() {
    rm -f "$1.progress"
    start_client "$1" load "$2" --sessions "$3" --progress "$1.progress"
    eventually "holding $1 $3" 15
}

# === Peers from outside

# peer NAME: finds HAProxy or nginx, or skips the case. Sets PEER, PEER_LIBRARIES and PEER_MODULE.
peer() {
    "$PYTHON" "$INTEGRATION/peer.py" "$1" >"$1.found" 2>"$1.missing" || skip "$(tail -n 1 "$1.missing")"
    { read -r PEER && read -r PEER_LIBRARIES && read -r PEER_MODULE; } <"$1.found" || true
}

# start_peer NAME ARGUMENT...: runs the one that was found; what it says goes to NAME.log.
start_peer() {
    LD_LIBRARY_PATH=$PEER_LIBRARIES "$PEER" "${@:2}" >>"$1.log" 2>&1 &
    echo $! >"$1.pid"
}

# start_nginx NAME <<CFG: a real nginx, the part of its config inside `http`; returns when it listens on NAME.port. What stands
# outside, such as a `stream` section, is in NGINX_MAIN.
start_nginx() {
    mkdir -p body proxy fastcgi uwsgi scgi
    {
        echo "${PEER_MODULE:+load_module $PEER_MODULE;}"
        # As root it would else run as somebody who may not read here.
        [ "$(id -u)" != 0 ] || echo "user root;"
        cat <<CFG
daemon off;
pid $PWD/$1.pid;
error_log stderr;
events { worker_connections 4096; }
${NGINX_MAIN:-}
http {
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    access_log off;
$(cat)
}
CFG
    } >"$1.conf"
    start_peer "$1" -e stderr -p "$PWD" -c "$PWD/$1.conf"
    eventually "listening \"\$(port_of $1)\"" 10
}

# listening PORT: whether somebody does, found out without connecting.
listening() {
    awk -v port="$(printf '%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 3) == port { found = 1 } END { exit !found }' \
        /proc/net/tcp
}

# === Certificates

need_openssl() {
    command -v openssl >/dev/null || skip "openssl is not installed"
}

# authority NAME: NAME.pem and NAME.key, which sign others.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.pem" 2>>openssl.log
}

# certificate NAME AUTHORITY HOST [DAYS]: NAME.pem and NAME.key.
certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$3" -keyout "$1.key" -out "$1.csr" 2>>openssl.log
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -days "${4:-30}" \
        -extfile <(echo "subjectAltName=DNS:$3") -out "$1.pem" 2>>openssl.log
}

# start_web_portti: portti with the listeners `web` and, by TLS as web.example.com (its authority is ca.pem), `secure`; both speak HTTP and
# lead to whoever listens on web.port.
start_web_portti() {
    authority ca
    certificate web ca web.example.com
    start_portti <<TOML
[listeners.web]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
[listeners.secure]
bind = "127.0.0.1:0"
mode = "http"
pool = "web"
[listeners.secure.tls]
certificates = [{ cert = "web.pem", key = "web.key" }]
[pools.web]
backends = ["$(address_of web)"]
TOML
}
