#!/usr/bin/env bash
# 0 done, 1 could not start, 2 bad config or usage; what is wrong with a file is said with its place and a hint.
source "$(dirname "$0")/../lib.sh"

# expect CODE ARGUMENT...: runs portti to its end; its words are in out.txt and err.txt.
expect() {
    local code=0
    timeout 10 "$PORTTI" "${@:2}" >out.txt 2>err.txt || code=$?
    equal "exit code of portti ${*:2}" "$1" "$code"
}

cat >good.toml <<'TOML'
[admin]
bind = "off"
[listeners.game]
bind = "127.0.0.1:0"
pool = "game"
[pools.game]
backends = ["127.0.0.1:1"]
TOML
# The two mistakes stand in lines 5 and 8, and both are reported.
cat >bad.toml <<'TOML'
[admin]
bind = "off"
[listeners.game]
bind = "127.0.0.1:0"
pool = "gmae"
[pools.game]
backends = ["127.0.0.1:1"]
blance = "maglev"
TOML
sed 's/127.0.0.1:0/192.0.2.1:7/' good.toml >foreign.toml # an address of no machine: documentation only

expect 0 --version
contains "the version" 'portti [0-9]+\.[0-9]+' out.txt
for command in "" run check demo; do
    # shellcheck disable=SC2086 # the empty word is no argument
    expect 0 $command --help
    contains "portti $command --help" 'Usage' out.txt
done

expect 0 check good.toml
expect 0 check "$ROOT/config.example.toml"

for command in "check bad.toml" "run --config bad.toml"; do
    # shellcheck disable=SC2086 # two or three words
    expect 2 $command
    contains "portti $command" 'bad\.toml:5:[0-9]+' err.txt
    contains "portti $command" 'bad\.toml:8:[0-9]+' err.txt
    contains "portti $command" 'did you mean .?balance' err.txt
    contains "portti $command" 'did you mean .?game|known pools' err.txt
done
expect 2 run --config missing.toml
contains "a missing file" 'missing\.toml' err.txt
expect 2 check missing.toml
expect 2 run --no-such-option
expect 2 no-such-command

expect 1 run --config foreign.toml
contains "an address of another machine" '192\.0\.2\.1:7' err.txt
