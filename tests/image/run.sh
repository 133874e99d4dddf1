#!/usr/bin/env bash
# Builds the images from the Dockerfile and runs Airbyte's four commands in the destination's, against
# the simulator in its own, with neither a Docker daemon nor an image registry: debootstrap makes the
# bases, buildah the images.
#
#   tests/image/run.sh                      all of the Dockerfile, for this machine's architecture
#   ARCH=arm64 tests/image/run.sh           for another (or amd64): cross-compiled, run by QEMU
#   tests/image/run.sh BINARY SIMULATOR     around stripped binaries (destination-salesforce,
#                                           salesforce-sim), instead of the build stages
#
# Needs Debian 12, root, a Debian mirror, Python and, without arguments, Rust by rustup.
# What it makes is in target/image, whose bases and layers are reused: 4 GB an architecture.
set -euo pipefail
if [ -z "${OWN_MOUNTS-}" ]; then
  [ "$(id -u)" = 0 ] || { echo "this test mounts file systems: run it as root" >&2; exit 1; }
  # What it mounts goes when it ends.
  OWN_MOUNTS=1 exec unshare --mount "$0" "$@"
fi
cd "$(dirname "$0")/../.."
here=tests/image
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/image
host=$(dpkg --print-architecture)
arch=${ARCH:-$host}
# Where the build stages would have left the binaries.
stage=$work/stage

step() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
buildah() { command buildah --root "$work/store" --runroot "$work/run" "$@"; }
build() { buildah build --isolation chroot --pull-never --layers "$@" .; }
commit() { buildah commit -q --rm "$1" "$2"; }
have() { buildah inspect --type image "$1" >/dev/null 2>&1; }

tools() {
  local packages=(buildah debootstrap python3)
  [ "$arch" = "$host" ] || packages+=(qemu-user-static binfmt-support)
  if ! dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}"
  fi
}

# Lets the kernel run another architecture's programs, wherever they are.
emulator() {
  local name
  case $arch in
    "$host") return ;;
    amd64) name=qemu-x86_64 ;;
    arm64) name=qemu-aarch64 ;;
    *) fail "the Dockerfile knows no $arch" ;;
  esac
  [ -e "/proc/sys/fs/binfmt_misc/$name" ] || update-binfmts --enable "$name"
}

# What debian:bookworm-slim is, for an architecture: a minimal Debian without documentation.
base() {
  local root=$work/base path container
  have "localhost/base-$1" && return
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --arch="$1" bookworm "$root" http://deb.debian.org/debian \
    >"$work/base.log" || fail "debootstrap: $(tail -n 3 "$work/base.log")"
  for path in doc man locale info; do
    rm -rf "${root:?}/usr/share/$path"/*
    echo "path-exclude /usr/share/$path/*" >>"$root/etc/dpkg/dpkg.cfg.d/slim"
  done
  rm -rf "$root"/var/{lib/apt/lists,cache/apt,log}/*
  container=$(buildah from scratch)
  buildah config --arch "$1" "$container"
  cp -a "$root/." "$(buildah mount "$container")"
  commit "$container" "localhost/base-$1"
  rm -rf --one-file-system "$root"
}

# What rust:slim-bookworm is: a C compiler, and rustup with a toolchain, which are this machine's, as
# are the certificates, for networks with an authority of their own.
rust() {
  local container root toolchain
  have localhost/rust && return
  container=$(buildah from --pull-never "localhost/base-$host")
  run() { buildah run --isolation chroot "$container" -- "$@"; }
  run apt-get update -qq
  run apt-get install -qq -y --no-install-recommends ca-certificates gcc libc6-dev >"$work/rust.log"
  root=$(buildah mount "$container")
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  toolchain=$(rustc --print sysroot)
  mkdir -p "$root/usr/local/cargo/bin" "$root/usr/local/rustup/toolchains"
  cp -a "$toolchain" "$root/usr/local/rustup/toolchains/"
  rm -rf "$root/usr/local/rustup/toolchains"/*/share
  cp "$(command -v rustup)" "$root/usr/local/cargo/bin/rustup"
  ln -s rustup "$root/usr/local/cargo/bin/cargo"
  ln -s rustup "$root/usr/local/cargo/bin/rustc"
  buildah config --env RUSTUP_HOME=/usr/local/rustup --env CARGO_HOME=/usr/local/cargo \
    --env PATH=/usr/local/cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  run rustup default "$(basename "$toolchain")"
  commit "$container" localhost/rust
}

build_stages() {
  local name container
  base "$host"
  rust
  for name in build:destination-salesforce build-simulator:salesforce-sim; do
    build --target "${name%:*}" -t "localhost/${name%:*}-$arch" \
      --build-arg BUILD_IMAGE=localhost/rust \
      --build-arg "BUILDPLATFORM=linux/$host" --build-arg "TARGETARCH=$arch"
    container=$(buildah from --pull-never "localhost/${name%:*}-$arch")
    take "$(buildah mount "$container")"/build/target/*/dist/"${name#*:}"
  done
}

take() {
  install -D "$1" "$stage/build/target/$arch/dist/$(basename "$1")"
}

# An image of the Dockerfile, in a folder of its own: what buildah says of it, what a registry would
# get, and its file system's path.
image() {
  local name=localhost/$1-$arch container
  build --platform "linux/$arch" --build-arg "BASE_IMAGE=localhost/base-$arch" \
    --build-context "build=$stage" --build-context "build-simulator=$stage" -t "$name" "${@:2}"
  rm -rf "${work:?}/$1"
  mkdir -p "$work/$1"
  buildah inspect --type image "$name" >"$work/$1/image.json"
  buildah push -q "$name" "oci:$work/$1/oci:latest"
  container=$(buildah from --pull-never --arch "$arch" "$name")
  buildah mount "$container" >"$work/$1/root"
}

step "tools"
tools
emulator
rm -rf "$stage" "$work/run"
mkdir -p "$work"
trap 'buildah rm --all >/dev/null' EXIT

if [ $# = 2 ]; then
  step "the binaries"
  take "$1"
  take "$2"
else
  step "build stages"
  build_stages
fi

step "base"
base "$arch"

step "images"
image destination-salesforce
image salesforce-sim --target simulator

step "commands"
python3 "$here/commands.py" "$work/destination-salesforce" "$work/salesforce-sim"

step "done"
