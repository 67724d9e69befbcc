#!/bin/sh
# Fetches what the tests of the binaries need, before they run without a network: Debian's C libraries
# for both machines, and libstdc++ for musl, which Debian does not have but wheels for musl bring.
set -eu
.ci/release/debian.sh build/debian libc6 busybox-static musl
wheel() { # <machine> <tag> <package>
  [ ! -d "build/musl/$1" ] || return 0
  mkdir -p build/musl
  python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation cp \
    --python-version 3.12 --platform "$2" --dest build/musl "$3"
  unzip -q -o "build/musl/${3%%=*}"*"$1.whl" "${3%%=*}.libs/*" -d "build/musl/$1"
}
# The newest builds whose relocations Debian's musl supports.
wheel x86_64 musllinux_1_1_x86_64 greenlet==3.1.1
wheel aarch64 musllinux_1_2_aarch64 ujson==5.10.0
