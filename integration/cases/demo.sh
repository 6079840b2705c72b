#!/usr/bin/env bash
# `portti demo` shows the main job: servers serve, a circuit opens and recovers, an edit is followed; Ctrl-C ends it with 0.
# runs alone
source "$(dirname "$0")/../lib.sh"

# The demo works on the addresses of the example, which are fixed.
cp "$ROOT/config.example.toml" .
mapfile -t ports < <(grep -Eo '^[^#]*"(127\.0\.0\.1|0\.0\.0\.0):[0-9]+"' config.example.toml | grep -Eo '[0-9]+"' | tr -d '"' | sort -u)
[ "${#ports[@]}" -gt 0 ] || fail "config.example.toml has no addresses"
for port in "${ports[@]}"; do
    taken=$(client talk "$port" --until 0 --patience 1 | jq -r .end)
    [ "$taken" = refused ] || skip "port $port of config.example.toml is in use"
done

TMPDIR=$PWD "$PORTTI" demo >demo.log 2>&1 &
demo=$!
for words in 'listens on .*25565' 'served by' 'follows the edit' 'circuit .* is open' 'circuit .* is closed' 'from another terminal'; do
    eventually "grep -Eq '$words' demo.log || ! kill -0 $demo" 60
    contains "the demo" "$words" demo.log
done

# What it tells the reader to try: play, edit the file that it names, Ctrl-C.
equal "a line for a player" own "$(client talk 25565 --send $'hello\n' --until 1 --patience 10 | jq -r .end)"
echo 127.0.0.1:9900 >portti.admin
generation=$(status .config.generation)
file=$(grep -Eo '/[^ ]+/portti\.toml' demo.log | head -n 1)
echo "# edited" >>"$file"
eventually '[ "$(status .config.generation)" -gt "$generation" ]' 3

kill -INT "$demo"
eventually "! kill -0 $demo" 35
code=0
wait "$demo" || code=$?
equal "exit code" 0 "$code"
[ ! -e "$file" ] || fail "the demo left $file"
cmp "$ROOT/config.example.toml" config.example.toml || fail "the demo changed the example"
