#!/bin/sh
# Runs a command where container engines can do no harm: with processes, mounts and a network of its own (loopback only),
# all of which end with it. Without root, or where the system does not allow it, the command runs as it is, and what needs
# an engine says why it is skipped.
if [ "$(id -u)" != 0 ] || ! unshare --net --mount --pid --fork true 2>/dev/null; then
  exec "$@"
fi
directory=$(mktemp -d "${TMPDIR:-/tmp}/dewy-machine-XXXXXX") || exit 1
TMPDIR=$directory DEWY_PRIVATE_MACHINE=$directory \
  unshare --net --mount --pid --fork --mount-proc --kill-child sh -c '
    ip link set lo up && mount -t tmpfs none /run && mkdir -p /run/lock && "$@"
  ' sh "$@"
code=$?
# What the engines made and could not remove when they were killed.
find /sys/fs/cgroup -depth -type d \( -path "*/$(basename "$directory")*" -o -path "*/libpod_parent*" \) -exec rmdir {} + 2>/dev/null
rm -rf "$directory"
exit "$code"
