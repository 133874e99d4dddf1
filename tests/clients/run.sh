#!/usr/bin/env bash
# Airbyte's own clients against the binary: PyAirbyte loads a simulated org through it, and Airbyte's
# protocol models parse what it printed in the test suite.
#
#   cargo build --release && tests/clients/run.sh target/release/destination-salesforce
#
# A second argument is the directory of lines that `AIRBYTE_LINES_DIR=DIRECTORY cargo test` left.
# Needs Python 3.10 to 3.12 and PyPI; on Debian it installs what Python lacks.
set -euo pipefail

binary=$(realpath "$1")
lines=${2:+$(realpath "$2")}
cd "$(dirname "$0")"

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  apt-get update -qq && apt-get install -y -qq python3-venv
fi

# An environment for each set of versions, made once.
versions=$(cat requirements.txt constraints.txt | sha256sum | cut -c -12)
venv=$(realpath -m ../../target/clients-"$versions")
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv" && python3 -m venv "$venv"
  if ! "$venv/bin/pip" install -q --no-compile -r requirements.txt -c constraints.txt; then
    echo "PyAirbyte cannot be installed: this test needs PyPI (https://pypi.org), or a mirror of it" \
      "in PIP_INDEX_URL, and Python 3.10 to 3.12; this is $(python3 --version)" >&2
    exit 1
  fi
  touch "$venv/complete"
fi

TMPDIR=$(mktemp -d)
export TMPDIR PYTHONPYCACHEPREFIX="$venv/pycache" PYTHONWARNINGS=ignore
trap 'rm -rf "$TMPDIR"' EXIT

if [ -n "$lines" ]; then
  "$venv/bin/python" parse_lines.py "$lines"
fi
# PyAirbyte draws its progress on stderr: it is shown only if the test fails.
if ! "$venv/bin/python" pyairbyte.py "$binary" 2>"$TMPDIR/stderr"; then
  cat "$TMPDIR/stderr" >&2
  exit 1
fi
