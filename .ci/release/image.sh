#!/bin/sh
# Pushes the container image of dewy for amd64 and arm64, with an index of both. A layer has dewy, its
# loader and C library, the CA certificates, /tmp, and a static shell for hooks. No image is pulled,
# and nothing in it is run.
#
#   npm run binaries -- linux_amd64 linux_arm64
#   .ci/release/debian.sh build/debian libc6 busybox-static
#   .ci/release/image.sh ghcr.io/dewy/dewy:0.1.0
#
# Needs crane and ca-certificates.
set -eu
image=$1 crane=${CRANE:-crane}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
applets=$("build/debian/$(dpkg --print-architecture)/bin/busybox" --list)

# files <architecture> <directory>
files() {
  debian=build/debian/$1 root=$2
  libraries=$(echo "$debian"/lib/*-linux-gnu)
  target=$root/lib/${libraries##*/}
  mkdir -p "$root/usr/bin" "$root/bin" "$root/etc/ssl/certs" "$root/var/lib/dewy" "$target"
  chmod 755 "$root"
  mkdir -m 1777 "$root/tmp"
  install -m 755 "build/dewy_linux_$1" "$root/usr/bin/dewy"
  install -m 755 "$debian/bin/busybox" "$root/bin/busybox"
  for name in $applets; do [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"; done
  # The kernel finds the loader by a link, below /lib64 on amd64.
  for loader in "$debian"/lib64/ld-linux-* "$debian"/lib/ld-linux-*; do
    [ ! -L "$loader" ] || install -D "$libraries/${loader##*/}" "$root${loader#"$debian"}"
  done
  # Those that resolve host names are loaded at run time.
  for name in c.so.6 dl.so.2 m.so.6 pthread.so.0 nss_dns.so.2 nss_files.so.2 resolv.so.2; do
    cp "$libraries/lib$name" "$target/"
  done
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  printf 'root:x:0:0:root:/:/bin/sh\ndewy:x:10001:10001:dewy:/var/lib/dewy:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\ndewy:x:10001:\n' >"$root/etc/group"
  # dewy upgrade then names the image instead of replacing the file.
  : >"$root/etc/dewy-image"
}

for arch in amd64 arm64; do
  files "$arch" "$work/$arch"
  tar --create --file "$work/$arch.tar" --directory "$work/$arch" --sort=name --owner=0 --group=0 --numeric-owner .
  "$crane" append --oci-empty-base --new_layer "$work/$arch.tar" --new_tag "$image-$arch"
  "$crane" mutate "$image-$arch" --tag "$image-$arch" --set-platform "linux/$arch" \
    --entrypoint /usr/bin/dewy --env PATH=/usr/bin:/bin --workdir /var/lib/dewy
done
"$crane" index append --manifest "$image-amd64" --manifest "$image-arm64" --tag "$image"
