#!/usr/bin/env bash
# The sf command line of Salesforce loads, queries and exports a simulated org.
#
#   cargo build && tests/clients/sf.sh target/debug/destination-salesforce
#
# It is outside `.ci/run`, since npm installs 200 MB for it. Needs Node 18 or later, npm, curl and
# Python. What it prints are the commands and sf's own answers.
set -euo pipefail

binary=$(realpath "$1")
version=2.146.3
home=$(realpath -m "$(dirname "$0")/../../target/clients-sf-$version")
mkdir -p "$home"
cd "$home"
if [ ! -e complete ]; then
  # Node 20 lacks what newer versions of undici need.
  printf '{"private":true,"dependencies":{"@salesforce/cli":"%s"},"overrides":{"undici":"6.21.3"}}' \
    "$version" >package.json
  npm install --ignore-scripts --no-audit --no-fund --silent
  touch complete
fi

work=$(mktemp -d)
# Its logins and settings stay apart from those of the user.
export HOME=$work SF_DISABLE_TELEMETRY=true SF_AUTOUPDATE_DISABLE=true SF_SKIP_NEW_VERSION_CHECK=true
export NO_COLOR=1 NODE_NO_WARNINGS=1
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
"$binary" simulate --port 0 --sandbox >"$work/url" 2>/dev/null &
simulator=$!
trap 'kill "$simulator"; rm -rf "$work"' EXIT
until [ -s "$work/url" ]; do sleep 0.1; done
url=$(<"$work/url")

fail() { echo "FAILED: $*" >&2; exit 1; }
sf() {
  printf '\n$ sf %s\n' "$*"
  # sf shows its progress again and again on one screen: the last state of it is enough.
  local ended=0
  "$home/node_modules/.bin/sf" "$@" >"$work/said" 2>&1 || ended=$?
  sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g' "$work/said" | grep -vE '^\s*$|insecure protocol' |
    tail -n "${shown:-10}"
  return "$ended"
}
said() { grep -q "$1" "$work/said" || fail "sf did not say $1"; }
count() { curl -s "$url/sim/objects/Contact" | sed 's/.*"count":\([0-9]*\).*/\1/'; }
holds() { [ "$(count)" = "$1" ] || fail "the org holds $(count) contacts, not $1"; }
rows() { python3 - "$@" <<'PYTHON'
import csv, json, sys, urllib.request
what, url, path = sys.argv[1:4]
held = json.load(urllib.request.urlopen(f"{url}/sim/objects/Contact/rows"))
with open(path, "w", newline="") as file:
    out = csv.writer(file, lineterminator="\n")
    if what == "new":
        out.writerow(["Ext_Id__c", "LastName", "Description"])
        out.writerows([f"C-{n}", f"Ng {n}", f'comma, "quotes" and 漢字 {n}'] for n in range(300))
    elif what == "changed":
        out.writerow(["Ext_Id__c", "LastName"])
        out.writerows([f"C-{n}", "Ö" if n % 100 else ""] for n in range(200, 400))
    elif what == "update":
        out.writerow(["Id", "Title"])
        out.writerows([row["Id"], "Dr"] for row in held[:50])
    else:
        out.writerow(["Id"])
        out.writerows([row["Id"]] for row in held[:100])
PYTHON
}

token=$(curl -s "$url/services/oauth2/token" -d grant_type=client_credentials \
  -d client_id=sim-client-id -d client_secret=sim-client-secret |
  sed 's/.*"access_token":"\([^"]*\)".*/\1/')
export SF_ACCESS_TOKEN=$token
sf org login access-token --instance-url "$url" --no-prompt --alias sim
said "Successfully authorized"
sf sobject list --sobject all --target-org sim
said Contact
shown=1 sf sobject describe --sobject Contact --target-org sim
said Ext_Id__c

bulk="--sobject Contact --target-org sim --wait 2 --line-ending LF"
rows new "$url" new.csv
# shellcheck disable=SC2086 # several words
sf data import bulk --file new.csv $bulk
holds 300
rows changed "$url" changed.csv
# A new row lacks a required field: sf ends with an error and names the job.
# shellcheck disable=SC2086
if sf data upsert bulk --file changed.csv --external-id Ext_Id__c $bulk; then
  fail "a row failed, and sf did not say so"
fi
holds 399
job=$(grep -m 1 -oE '750[A-Za-z0-9]{15}' "$work/said")
job=${job%%$'\n'*}
sf data bulk results --job-id "$job" --target-org sim
said "Failed"
rows update "$url" update.csv
# shellcheck disable=SC2086
sf data update bulk --file update.csv $bulk
rows gone "$url" gone.csv
# shellcheck disable=SC2086
sf data delete bulk --file gone.csv $bulk
holds 299

sf data query --target-org sim --result-format csv \
  --query "SELECT LastName, Ext_Id__c FROM Contact WHERE LastName = 'Ö' AND Ext_Id__c LIKE 'C-39%' ORDER BY Ext_Id__c"
said "C-399"
sf data query --target-org sim --query "SELECT COUNT() FROM Contact WHERE Title = null"
sf data export bulk --target-org sim --wait 2 --output-file export.csv --result-format csv \
  --line-ending LF --query "SELECT Id, LastName FROM Contact"
[ "$(wc -l <export.csv)" = 300 ] || fail "the export has $(wc -l <export.csv) lines"
printf '\npassed\n'
