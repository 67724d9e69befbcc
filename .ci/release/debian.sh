#!/bin/sh
# Unpacks Debian packages for amd64 and arm64, on either, into <directory>/<architecture>. It needs no
# root, and changes nothing that this machine has installed.
#
#   .ci/release/debian.sh build/debian libc6 busybox-static
set -eu
directory=$1
shift
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
for arch in amd64 arm64; do
  [ ! -d "$directory/$arch" ] || continue
  mkdir -p "$state/$arch/lists/partial" "$directory"
  apt() {
    apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= \
      -o Dir::State="$state/$arch" -o Dir::State::status=/dev/null -o Dir::Cache="$state/$arch" "$@"
  }
  apt update
  (cd "$state/$arch" && apt download "$@")
  for package in "$state/$arch"/*.deb; do dpkg -x "$package" "$state/$arch/root"; done
  mv "$state/$arch/root" "$directory/$arch"
done
