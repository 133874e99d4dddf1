#!/usr/bin/env bash
# The tests of jsforce itself that speak to an org, against a simulated one.
#
#   cargo build && tests/clients/suites.sh target/debug/destination-salesforce [SOURCES]
#
# SOURCES is a checkout of jsforce; without it, GitHub gives one. It is outside `.ci/run`: the tests
# are of others, need the network to be fetched, and expect more of an org than the simulator has.
# docs/simulator.md lists which pass and why the others do not. simple-salesforce's own tests answer
# their requests themselves, so none of them speaks to a server.
#
# Needs Node 20 or later, npm, git, curl and Python.
set -euo pipefail

binary=$(realpath "$1")
sources=${2:+$(realpath "$2")}
here=$(realpath "$(dirname "$0")")
version=3.10.16
files=${FILES:-bulk2 connection-crud query oauth2}
home=$(realpath -m "$here/../../target/clients-suites-$version")
mkdir -p "$home"
cd "$home"
if [ ! -e complete ]; then
  npm install --ignore-scripts --no-audit --no-fund --silent \
    "jsforce@$version" through2@4.0.2 tsx@4.20.5 esbuild@0.25.9
  # esbuild's binary comes with a package of its own for each platform.
  touch complete
fi
if [ -z "$sources" ]; then
  sources=$home/sources
  [ -e "$sources" ] || git clone -q --depth 1 --branch "$version" \
    https://github.com/jsforce/jsforce "$sources"
fi

work=$(mktemp -d -p "$home")
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
cp -r "$sources/test" "$work/test"
# They import the library by its place in the sources: it is the released package here.
mkdir "$work/src"
echo 'const j = require("jsforce"); module.exports = { ...j, SfDate: j.SfDate ?? j.Date };' \
  | tee "$work/src/index.js" >"$work/index.js"
# They are written for Jest.
cat >"$work/harness.cjs" <<'JAVASCRIPT'
const { test, it, describe, before, after } = require("node:test");
Object.assign(globalThis, { test, it, describe, beforeAll: before, afterAll: after });
JAVASCRIPT
# The objects that their org has besides Salesforce's own.
python3 - "$here/../../crates/sim/src/org/org.json" >"$work/org.json" <<'PYTHON'
import json, sys
org = json.load(open(sys.argv[1]))
name = {"name": "Name", "type": "string", "length": 80}
key = {"name": "ExtId__c", "type": "string", "length": 80, "externalId": True}
org["objects"] += [
    {"name": "BigTable__c", "keyPrefix": "a90", "fields": [name]},
    {"name": "UpsertTable__c", "keyPrefix": "a91", "fields": [name, key]},
]
account = next(known for known in org["objects"] if known["name"] == "Account")
held = {field["name"] for field in account["fields"]}
for field in [
    {"name": "BillingState", "type": "string", "length": 80},
    {"name": "NumberOfEmployees", "type": "int"},
]:
    if field["name"] not in held:
        account["fields"].append(field)
json.dump(org, sys.stdout)
PYTHON
"$binary" simulate --port 0 --profile null --org "$work/org.json" >"$work/url" 2>"$work/stderr" &
simulator=$!
trap 'kill "$simulator" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 50); do [ -s "$work/url" ] && break; sleep 0.1; done
[ -s "$work/url" ] || { cat "$work/stderr" >&2; exit 1; }
SF_LOGIN_URL=$(<"$work/url")
SF_ACCESS_TOKEN=$(curl -s "$SF_LOGIN_URL/services/oauth2/token" -d grant_type=client_credentials \
  -d client_id=sim-client-id -d client_secret=sim-client-secret |
  sed 's/.*"access_token":"\([^"]*\)".*/\1/')
export SF_LOGIN_URL SF_ACCESS_TOKEN SF_USERNAME=loader@sim.example SF_PASSWORD=sim-password
export SF_OAUTH2_CLIENT_ID=sim-client-id SF_OAUTH2_CLIENT_SECRET=sim-client-secret

curl -s "$SF_LOGIN_URL/sim/objects/BigTable__c/rows" --data-binary \
  @<(echo Name; seq -f 'Big %.0f' 5200)
for file in $files; do
  printf '\n== %s\n' "$file"
  timeout 300 node --require "$work/harness.cjs" --import tsx --test-reporter=spec \
    "$work/test/$file.test.ts" 2>&1 | grep -E '^ *(✔|✖|ℹ (pass|fail|tests))|Error|error' | head -n 200 || true
done
