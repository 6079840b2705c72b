#!/usr/bin/env bash
# The configs in deploy/ are good, what stops portti there grants the time that their drains take, and the token is where they look for it.
source "$(dirname "$0")/../lib.sh"
need_openssl

openssl rand -hex 32 >token

# config NAME FILE: checks it, with a token of this case's, and keeps a copy for what comes below.
config() {
    sed "s|^token_file = .*|token_file = \"$PWD/token\"|" "$2" >"$1.here.toml"
    "$PORTTI" check "$1.here.toml" >"$1.said" 2>&1 || fail "$2: $(cat "$1.said")"
    cp "$2" "$1.checked"
}

# token_of NAME: where its config looks for the token; all of them can be reached from elsewhere, so they need one.
token_of() {
    sed -nE 's/^token_file = "(.*)"$/\1/p' "$1.checked"
}

# seconds KEY FILE: a duration of [server], which is written in seconds there; with its default where it is left out.
seconds() {
    local found
    found=$(sed -nE "s/^$1 = \"([0-9]+)s\"/\1/p" "$2")
    [ -n "$found" ] || case $1 in shutdown_delay) found=0 ;; drain_timeout) found=30 ;; esac
    echo "$found"
}

# granted WHAT SECONDS CONFIG [SLEEP]: 5 s are for the last steps (control/supervisor.rs); SLEEP seconds pass before SIGTERM is sent.
granted() {
    local needed
    needed=$((${4:-0} + $(seconds shutdown_delay "$3") + $(seconds drain_timeout "$3") + 5))
    between "$1 grants" "$needed" 300 "$2"
}

# covers WHAT SLEEP CONFIG: that or shutdown_delay has to last until all nodes know that the pod is out of the Service.
covers() {
    between "for how long $1 takes what comes" 5 60 $(($2 + $(seconds shutdown_delay "$3")))
}

# number KEY FILE: of the only line with this key, in YAML or a unit.
number() {
    equal "lines with $1 in $2" 1 "$(grep -cE "^ *$1[:=]" "$2")"
    sed -nE "s/^ *$1[:=] *([0-9]+)s?$/\1/p" "$2"
}

deploy=$ROOT/deploy
config kubernetes "$deploy/kubernetes/portti.toml"
manifest=$deploy/kubernetes/deployment.yaml
sleep=$(number seconds "$manifest")
covers "the Deployment" "$sleep" kubernetes.checked
granted "the Deployment" "$(number terminationGracePeriodSeconds "$manifest")" kubernetes.checked "$sleep"

# The block of values.yaml, without its indentation.
sed -n '/^config: |/,$ { /^config: |/d; s/^  //; p }' "$deploy/helm/portti/values.yaml" >chart.toml
contains "the chart's config" '^\[listeners' chart.toml
config helm chart.toml
values=$deploy/helm/portti/values.yaml
sleep=$(number preStopSeconds "$values")
covers "the chart" "$sleep" helm.checked
granted "the chart" "$(number terminationGracePeriodSeconds "$values")" helm.checked "$sleep"
contains "where the chart sleeps" '^ *seconds: [{][{] \. [}][}]$' "$deploy/helm/portti/templates/deployment.yaml"
# One config, in two forms.
for file in kubernetes.checked helm.checked; do grep -Ev '^(#|$)' "$file" >"$file.bare"; done
diff kubernetes.checked.bare helm.checked.bare || fail "the chart's config is not that of deploy/kubernetes"

config compose "$deploy/compose/portti/portti.toml"
granted "compose" "$(number stop_grace_period "$deploy/compose/docker-compose.yml")" compose.checked

# A key `token` of a Secret, in the folder that it is mounted as; a secret of compose has the place that compose gives it.
for file in "$deploy/kubernetes/deployment.yaml" "$deploy/helm/portti/templates/deployment.yaml"; do
    contains "the token" "^ *mountPath: $(dirname "$(token_of kubernetes)")$" "$file"
done
equal "the key of the Secret" token "$(basename "$(token_of kubernetes)")"
contains "the Secret's key as it is told" "secret generic portti-admin --from-literal=token=" "$deploy/kubernetes/kustomization.yaml"
contains "the Secret that is told" "^ *secretName: portti-admin$" "$deploy/kubernetes/deployment.yaml"
contains "the Secret's key in the chart" "^ *token: " "$deploy/helm/portti/templates/secret.yaml"
secret=$(token_of compose)
contains "the secret's name" "^  ${secret#/run/secrets/}:$" "$deploy/compose/docker-compose.yml"
contains "the secret in use" "^ *secrets: \[${secret#/run/secrets/}\]$" "$deploy/compose/docker-compose.yml"
cp "$deploy/compose/admin.token" token
config compose "$deploy/compose/portti/portti.toml"
# Players are welcome from elsewhere; nobody else is.
equal "what compose lets in from other machines" '- "25565:25565"' \
    "$(grep -E '^ *- "[0-9.:]+:[0-9]+"$' "$deploy/compose/docker-compose.yml" | grep -v '"127\.0\.0\.1:' | sed 's/^ *//')"

"$PORTTI" check "$ROOT/config.example.toml" >/dev/null
granted "the unit" "$(number TimeoutStopSec "$deploy/systemd/portti.service")" "$ROOT/config.example.toml"

# What they say of `portti` on its command line, it understands.
for words in "run --config" "status --live --quiet"; do
    json=$(echo "\"$words" | sed 's/ /", "/g')
    grep -rqF -- "$json" "$deploy" || fail "nothing in deploy/ has $json any more"
done
"$PORTTI" status --help >/dev/null
