#!/usr/bin/env bash
# `portti demo` shows the main job: servers serve, a circuit opens and recovers, an edit is followed; Ctrl-C ends it with 0.
# runs alone
source "$(dirname "$0")/../lib.sh"

cp "$ROOT/config.example.toml" .

# A machine with a game server and another portti: the demo takes other ports instead of theirs, and says so.
taken=(25565 25572 9900)
holders=()
for port in "${taken[@]}"; do
    python3 -c 'import socket, sys, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); time.sleep(600)' "$port" 2>/dev/null &
    holders+=($!)
done
for port in "${taken[@]}"; do
    # Somebody else may have it: it is taken all the same.
    eventually '[ "$(client talk '"$port"' --until 0 --patience 1 | jq -r .end)" != refused ]' 5
done

TMPDIR=$PWD "$PORTTI" demo >demo.log 2>&1 &
demo=$!
for words in ':25565, which is taken here' ':25572, which is taken here' ':9900, which is taken here' 'listens on' 'served by' 'follows the edit' 'circuit .* is open' 'circuit .* is closed' 'from another terminal'; do
    eventually "grep -Eq '$words' demo.log || ! kill -0 $demo" 60
    contains "the demo" "$words" demo.log
done

# What it tells the reader to try: play, edit the file that it names, Ctrl-C.
port=$(grep -Eo '  nc 127\.0\.0\.1 [0-9]+' demo.log | grep -Eo '[0-9]+$')
[ "$port" != 25565 ] || fail "the demo says that it listens on a port that is taken"
equal "a line for a player" own "$(client talk "$port" --send $'hello\n' --until 1 --patience 10 | jq -r .end)"
grep -Eo 'curl -s 127\.0\.0\.1:[0-9]+/metrics' demo.log | grep -Eo '127\.0\.0\.1:[0-9]+' >portti.admin
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
kill "${holders[@]}" 2>/dev/null || true
