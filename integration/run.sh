#!/usr/bin/env bash
# Runs the integration cases against the built binary: integration/run.sh [case...]
#
# Every case is a bash process with its own directory and its own process group, which is killed when the case ends: no
# case can leave a server behind for the next. A case passes with exit code 0 and is skipped with 77; its last line is then
# the reason. PORTTI names another binary, JOBS how many cases run at once, KEEP=1 leaves the cases' directories in place.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
SKIPPED=77
# A case that waits for the 30 s request timeout needs about 40 s; three times that is a case that hangs.
CASE_SECONDS=120
JOBS=${JOBS:-2}

for tool in python3 curl jq; do
    command -v "$tool" >/dev/null && continue
    all=("$HERE"/cases/*.sh)
    echo "skipped all cases: $tool is not installed"
    echo "integration: 0 passed, 0 failed, ${#all[@]} skipped"
    exit 0
done

if [ -z "${PORTTI:-}" ]; then
    PORTTI=$ROOT/target/release/portti
    [ -x "$PORTTI" ] || (cd "$ROOT" && cargo build --release)
fi
PORTTI=$(realpath "$PORTTI")
export PORTTI

WORK=$(mktemp -d)

end_groups() {
    local file
    for file in "$WORK"/*.group; do
        [ -f "$file" ] && kill -KILL -- "-$(cat "$file")" 2>/dev/null
    done
    return 0
}

finish() {
    end_groups
    if [ "${KEEP:-}" = 1 ]; then echo "kept: $WORK"; else rm -rf "$WORK"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

# What a failed case said, and the last lines of what its processes said.
show_failure() {
    local name=$1 file
    sed 's/^/    /' "$WORK/$name.log"
    for file in "$WORK/$name"/*.log; do
        [ -s "$file" ] || continue
        echo "    --- ${file##*/}, last 30 lines"
        tail -n 30 "$file" | cut -c 1-600 | sed 's/^/    /'
    done
}

run_case() {
    local name=$1 started=$SECONDS code=0 group seconds report
    mkdir "$WORK/$name"
    # timeout makes itself the leader of a new process group, so its process id names the group.
    (cd "$WORK/$name" && exec timeout --kill-after=5 "$CASE_SECONDS" bash "$HERE/cases/$name.sh") \
        >"$WORK/$name.log" 2>&1 </dev/null &
    group=$!
    echo "$group" >"$WORK/$name.group"
    wait "$group" || code=$?
    kill -KILL -- "-$group" 2>/dev/null || true
    rm "$WORK/$name.group"
    seconds=$((SECONDS - started))

    # One printf per case: two cases that end together do not mix their lines.
    if [ "$code" = 0 ]; then
        touch "$WORK/$name.passed"
        report="ok $name (${seconds} s)"
    elif [ "$code" = "$SKIPPED" ]; then
        touch "$WORK/$name.skipped"
        report="skipped $name: $(tail -n 1 "$WORK/$name.log")"
    else
        touch "$WORK/$name.failed"
        [ "$code" = 124 ] && echo "still running after $CASE_SECONDS s" >>"$WORK/$name.log"
        report="FAILED $name (${seconds} s)"$'\n'"$(show_failure "$name")"
    fi
    printf '%s\n' "$report"
}

count() {
    find "$WORK" -maxdepth 1 -name "*.$1" | wc -l
}

together=()
alone=()
if [ $# = 0 ]; then
    for file in "$HERE"/cases/*.sh; do
        name=$(basename "$file" .sh)
        # A case with this line measures or loads the whole machine, or needs fixed ports.
        if grep -qx '# runs alone' "$file"; then alone+=("$name"); else together+=("$name"); fi
    done
else
    for name in "$@"; do
        name=$(basename "$name" .sh)
        [ -f "$HERE/cases/$name.sh" ] || { echo "integration: no case called $name" >&2; exit 1; }
        together+=("$name")
    done
fi

running=0
for name in "${together[@]}"; do
    if [ "$running" -ge "$JOBS" ]; then
        wait -n || true
        running=$((running - 1))
    fi
    run_case "$name" &
    running=$((running + 1))
done
wait
for name in ${alone[@]+"${alone[@]}"}; do
    run_case "$name"
done

passed=$(count passed) failed=$(count failed) skipped=$(count skipped)
lost=$((${#together[@]} + ${#alone[@]} - passed - failed - skipped))
[ "$lost" = 0 ] || echo "FAILED: $lost cases ended without a result"
failed=$((failed + lost))
echo "integration: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
