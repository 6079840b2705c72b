#!/usr/bin/env bash
# An edit of the file takes effect within a second, however it is made: in place, by a rename, by swapping a symbolic link.
source "$(dirname "$0")/../lib.sh"

start_backend a echo
start_backend b echo
config() {
    with_admin <<TOML
$GAME
backends = ["$(address_of "$1")"]
TOML
}

# A mounted ConfigMap: portti.toml -> ..data/portti.toml, ..data -> a folder with the time in its name.
mkdir mounted mounted/..1
config a >mounted/..1/portti.toml
ln -s ..1 mounted/..data
ln -s ..data/portti.toml mounted/portti.toml
cp mounted/..1/portti.toml portti.toml

# expect_backend NAME HOW: within a second (and the watch's patience of a moment) new sessions go to this backend.
expect_backend() {
    local started
    started=$(now_ms)
    eventually "[ \"\$(status '.pools[0].backends[].address')\" = $(address_of "$1") ]" 3
    between "milliseconds until the edit ($2) took effect" 0 1200 $(($(now_ms) - started))
    equal "last reload after $2" true "$(status .config.last_reload.ok)"
}

launch_portti
await_started
hold player "$(listener_port game)" 1

config b >portti.toml
expect_backend b "in place"
config a >portti.toml.new
mv portti.toml.new portti.toml
expect_backend a "a rename"
config b >draft
cp draft portti.toml
expect_backend b "a copy"
rm portti.toml
config a >portti.toml
expect_backend a "deleting and writing"

generation=$(status .config.generation)
echo "# a comment" >>portti.toml
eventually '[ "$(status .config.generation)" = $((generation + 1)) ]' 2

# A save in several writes, while other files of the folder change all the time: half a file is never loaded.
while sleep 0.01; do touch other; done &
busy=$!
config b >draft
reloads=$(metric portti_config_reloads_total)
for lines in 2 4 6; do
    head -n $lines draft >portti.toml
    sleep 0.05
done
cp draft portti.toml
expect_backend b "several writes"
kill $busy
equal "reloads for it" $((reloads + 1)) "$(metric portti_config_reloads_total)"

stop_client player
equal "failures of the session through all edits" 0 "$(report player .failed)"
signal_portti TERM
await_exit 3

# === The same with the mounted ConfigMap
cp portti.admin mounted/portti.admin
INSTANCE=mounted/portti
launch_portti
await_started
hold player "$(listener_port game)" 1
mkdir mounted/..2
config b >mounted/..2/portti.toml
ln -s ..2 mounted/..data_tmp
mv -T mounted/..data_tmp mounted/..data
rm -r mounted/..1
expect_backend b "a swapped symbolic link"
stop_client player
equal "failures of the session through the swap" 0 "$(report player .failed)"
