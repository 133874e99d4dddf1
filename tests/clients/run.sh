#!/usr/bin/env bash
# Clients that others wrote judge the binary and its simulated org:
#
# - Airbyte's protocol models parse what the binary printed in the test suite; a JSON Schema validator
#   and airbyte-cdk's own checks read its spec; PyAirbyte loads a simulated org through it;
# - simple-salesforce and jsforce, which know Salesforce, load the simulated org by themselves.
#
#   cargo build && tests/clients/run.sh target/debug/destination-salesforce
#
# A second argument is the directory of lines that `AIRBYTE_LINES_DIR=DIRECTORY cargo test` left.
# Needs Python 3.11 or 3.12 and PyPI; on Debian it installs what Python lacks. jsforce runs only
# where there are Node 18 or later and npm.
set -euo pipefail

binary=$(realpath "$1")
lines=${2:+$(realpath "$2")}
cd "$(dirname "$0")"

# What a shell may set for other Pythons has no place in an environment of our own.
unset PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_PREFIX PIP_TARGET
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

python=python3
for known in python3 python3.12 python3.11; do
  if "$known" -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])'; then
    python=$known
    break
  fi
done 2>/dev/null
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  apt-get update -qq && apt-get install -y -qq python3-venv
fi

# The directory of an environment for one set of versions, made once.
environment() {
  realpath -m ../../target/clients-"$(sha256sum | cut -c -12)"
}

venv=$({ cat requirements.txt constraints.txt; "$python" --version; } | environment)
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv" && "$python" -m venv "$venv"
  # The constraints name every package, so nothing is left to resolve: `check` holds that.
  if ! "$venv/bin/pip" install -q --no-compile --no-deps -r requirements.txt -r constraints.txt ||
    ! "$venv/bin/pip" check; then
    echo "PyAirbyte cannot be installed: this test needs PyPI, or a mirror of it" \
      "in PIP_INDEX_URL, and Python 3.11 or 3.12; this is $("$python" --version)" >&2
    exit 1
  fi
  touch "$venv/complete"
fi

# The lock file is made without addresses, for any registry that npm is set to:
# npm install --package-lock-only --omit-lockfile-registry-resolved
modules=$(cat package.json package-lock.json | environment)
node_version=$(node --version 2>/dev/null | grep -oE '[0-9]+' | head -n 1) || true
if [ "${node_version:-0}" -lt 18 ] || ! command -v npm >/dev/null; then
  no_jsforce="there is no Node 18 or later with npm"
elif [ ! -e "$modules/complete" ]; then
  rm -rf "$modules" && mkdir -p "$modules" && cp package.json package-lock.json "$modules"
  if npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent; then
    touch "$modules/complete"
  else
    no_jsforce="npm cannot install it"
  fi
fi

TMPDIR=$(mktemp -d)
export TMPDIR PYTHONPYCACHEPREFIX="$venv/pycache" PYTHONWARNINGS=ignore
# From here on everything is on this machine; not every client knows `no_proxy`.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
trap 'rm -rf "$TMPDIR"' EXIT

if [ -n "$lines" ]; then
  "$venv/bin/python" parse_lines.py "$lines"
fi
"$venv/bin/python" spec.py "$binary"
# PyAirbyte draws its progress on stderr: it is shown only if the test fails.
if ! "$venv/bin/python" pyairbyte.py "$binary" 2>"$TMPDIR/stderr"; then
  cat "$TMPDIR/stderr" >&2
  exit 1
fi
"$venv/bin/python" simplesalesforce.py "$binary"
if [ -z "${no_jsforce:-}" ]; then
  # A module finds what it imports beside itself.
  cp jsforce.mjs "$modules"
  node "$modules/jsforce.mjs" "$binary"
else
  echo "jsforce: skipped, $no_jsforce"
fi
