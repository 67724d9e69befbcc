#!/bin/sh
# Writes the files of the container image as a tar: dewy, its loader and C library, the CA
# certificates, /tmp, and a static shell for hooks. It pulls nothing; run it where the binary runs.
#
#   .ci/release/image.sh build/dewy_linux_amd64 image.tar
#   docker import -c 'ENTRYPOINT ["/usr/bin/dewy"]' -c 'ENV PATH=/usr/bin:/bin' image.tar dewy:0.1.0
#
# Debian: apt-get install -y --no-install-recommends busybox-static ca-certificates
set -eu
binary=$1 output=$2
root=$(mktemp -d)
chmod 755 "$root"
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/bin" "$root/bin" "$root/etc/ssl/certs" "$root/var/lib/dewy"
mkdir -m 1777 "$root/tmp"
install -m 755 "$binary" "$root/usr/bin/dewy"
install -m 755 "$(command -v busybox)" "$root/bin/busybox"
for name in $(busybox --list); do [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"; done
# The names that resolve hosts are loaded at run time, so ldd does not show them.
loaded=$(ldd "$binary" | grep -o '/[^ ]*')
for library in $loaded; do
  for file in "$library" "${library%/*}/libnss_dns.so.2" "${library%/*}/libnss_files.so.2" "${library%/*}/libresolv.so.2"; do
    [ ! -e "$file" ] || [ -e "$root$file" ] || install -D "$(realpath "$file")" "$root$file"
  done
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
printf 'root:x:0:0:root:/:/bin/sh\ndewy:x:10001:10001:dewy:/var/lib/dewy:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\ndewy:x:10001:\n' >"$root/etc/group"
# dewy upgrade then names the image instead of replacing the file.
: >"$root/etc/dewy-image"
tar --create --file "$output" --directory "$root" --sort=name --owner=0 --group=0 --numeric-owner .
