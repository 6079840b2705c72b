#!/usr/bin/env bash
# The admin API is as docs/openapi.json has it, whatever it is asked: schemathesis makes up thousands of requests from that file, good ones
# and bad ones. Without the token nothing is told but health and metrics. And none of it is remembered.
source "$(dirname "$0")/../lib.sh"
need_openssl

# From PyPI with what it stands on, 90 MB; kept for later runs. (MIT licence.)
TOOL=$ROOT/target/tools/schemathesis-$(sha256sum "$INTEGRATION/schemathesis.txt" | cut -c 1-8)

install_schemathesis() {
    local folder=$TOOL.$$
    # In one step: an installation that was cut off must not be taken for a whole one.
    timeout 60 "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input --target "$folder" \
        --requirement "$INTEGRATION/schemathesis.txt" >pip.log 2>&1 && mv -T "$folder" "$TOOL"
}

if [ ! -d "$TOOL" ]; then
    "$PYTHON" -m pip --version >/dev/null 2>&1 || skip "pip is not installed, which would fetch schemathesis (Debian: python3-pip)"
    install_schemathesis || skip "pip could not install schemathesis: $(tail -n 1 pip.log)"
fi

start_backend echo echo
start_backend spare echo
TOKEN=$(openssl rand -hex 32)
start_portti <<TOML
$GAME
backends = ["$(address_of echo)"]
# One that stays, so that it is always ready.
[pools.spare]
backends = ["$(address_of spare)"]
[listeners.spare]
bind = "127.0.0.1:0"
pool = "spare"
TOML
url=http://$(cat portti.admin)
hold player "$(listener_port game)" 3

# Names that are there, among those that are made up.
jq --arg backend "$(address_of echo)" '
    def either($one): { anyOf: [{ const: $one }, { type: "string", minLength: 1 }] };
    def known($name): .example = $name | .schema = either($name);
    .components.parameters |= (.Pool |= known("game") | .Listener |= known("game") | .Address |= known($backend))
    | .components.schemas.Network = either("192.0.2.7")' "$ROOT/docs/openapi.json" >openapi.json

# asked METHOD PATH [OPTION...]: the code of the answer.
asked() {
    curl -sS --max-time 5 -o answer -w '%{http_code}' -X "$1" "${@:3}" "$url$2"
}

# Every path, and who must bring the token there.
jq -r '.paths | to_entries[] | .key as $path | .value | to_entries[] | [.key, $path, .value.security == []] | @tsv' openapi.json >operations
between "operations" 15 100 "$(wc -l <operations)"
while IFS=$'\t' read -r method path is_open; do
    code=$(asked "${method^^}" "${path//[\{\}]/x}" -H 'Content-Type: application/json' -d '{}')
    if [ "$is_open" = true ]; then equal "$path" 200 "$code"; else equal "$method $path without the token" 401 "$code"; fi
done <operations
for path in /nothing /api /api/v1/ /api/v2/status /api/v1/sessions/../status; do
    equal "$path without the token" 401 "$(asked GET "$path" --path-as-is)"
done

# ask REQUESTS: so many of each kind, over some connections.
ask() {
    client ask_admin "$(cat portti.admin)" --token "$TOKEN" --requests "$1"
}

resident() {
    metric process_resident_memory_bytes
}

# What grows with the first requests has grown then: buffers, and the allocator's own.
equal "wrong answers" 0 "$(ask 3000 | jq .wrong)"
before=$(resident)
equal "wrong answers" 0 "$(ask 10000 | jq .wrong)"
between "bytes that 10,000 requests have left behind" -100000000 2000000 $(($(resident) - before))

# It ends the process (drain), or does not end (events).
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance
checks=$checks,unsupported_method,allow_header_conformance,ignored_auth,negative_data_rejection
PYTHONPATH=$TOOL:$INTEGRATION SCHEMATHESIS_HOOKS=schemathesis_hooks timeout 100 "$PYTHON" "$TOOL/bin/st" run openapi.json --url "$url" --header "Authorization: Bearer $TOKEN" \
    --exclude-path-regex '^/api/v1/(drain|events)$' --checks "$checks" --no-color --max-failures 10 \
    --max-time "${SCHEMA_SECONDS:-40}" --seed "${SCHEMA_SEED:-1}" >schemathesis.log 2>&1 ||
    fail "it is not as docs/openapi.json says: $(sed -nE '/= (FAILURES|ERRORS) =/,$p' schemathesis.log)"
grep -E '^ *[0-9]+ generated' schemathesis.log
portti_lives || fail "portti has ended"
equal "panics" 0 "$(grep -c panicked portti.log || true)"

equal "a drain" 202 "$(asked POST /api/v1/drain -H "Authorization: Bearer $TOKEN")"
await_exit 10
equal "exit code" 0 "$EXIT_CODE"
