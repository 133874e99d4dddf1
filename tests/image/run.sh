#!/usr/bin/env bash
# Builds the image from the Dockerfile and runs Airbyte's four commands in it, with neither a Docker
# daemon nor an image registry: debootstrap makes the base, buildah the image. The build stage is not
# run: its result comes from cargo on this machine.
#
#   tests/image/run.sh                      builds the binary (profile dist) and the simulator
#   tests/image/run.sh BINARY SIMULATOR     takes binaries that are there; SIMULATOR has `simulate`
#
# Needs Debian 12, root, a Debian mirror, Python and, without arguments, cargo. What it makes is in
# target/image, whose base is used again.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/image
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/image
image=localhost/destination-salesforce

step() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
buildah() { command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }

tools() {
  [ "$(id -u)" = 0 ] || fail "this test mounts file systems: run it as root"
  if ! command -v buildah debootstrap python3 >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends buildah debootstrap python3
  fi
}

binaries() {
  if [ $# = 2 ]; then
    binary=$1 simulator=$(realpath "$2")
    return
  fi
  local target=${CARGO_TARGET_DIR:-target}
  cargo build --locked --release
  simulator=$(realpath "$target/release/destination-salesforce")
  cargo build --locked --profile dist --no-default-features --features airbyte
  binary=$target/dist/destination-salesforce
}

# What debian:bookworm-slim is: a minimal Debian without documentation and translations.
base() {
  buildah inspect --type image localhost/base >/dev/null 2>&1 && return
  local root=$work/base path container
  rm -rf "$root"
  debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian >"$work/base.log" ||
    fail "debootstrap: $(tail -n 3 "$work/base.log")"
  for path in doc man locale info; do
    rm -rf "${root:?}/usr/share/$path"/*
    echo "path-exclude /usr/share/$path/*" >>"$root/etc/dpkg/dpkg.cfg.d/slim"
  done
  rm -rf "$root"/var/{lib/apt/lists,cache/apt,log}/*
  container=$(buildah from scratch)
  cp -a "$root/." "$(buildah mount "$container")"
  commit "$container" localhost/base
  rm -rf "$root"
}

# The build stage's result, in an image that takes the place of the stage.
build_stage() {
  local container
  strip -o "$work/stripped" "$binary"
  container=$(buildah from scratch)
  buildah copy -q "$container" "$work/stripped" /build/target/dist/destination-salesforce
  commit "$container" localhost/build-stage
}

commit() {
  buildah commit -q --rm "$1" "$2"
}

image() {
  buildah build --isolation chroot --pull-never --build-arg BASE_IMAGE=localhost/base \
    --build-context build=container-image://localhost/build-stage -t "$image" .
}

step "tools"
tools
mkdir -p "$work"

step "binaries"
binaries "$@"

step "base"
base

step "image"
build_stage
image
buildah inspect --type image "$image" >"$work/image.json"
rm -rf "$work/oci"
buildah push -q "$image" "oci:$work/oci:latest"

step "commands"
container=$(buildah from --pull-never "$image")
trap 'buildah rm "$container" >/dev/null' EXIT
python3 "$here/commands.py" "$work" "$(buildah mount "$container")" "$simulator"

step "done"
