#!/bin/sh
# Runs a command isolated from the machine, so that container engines cannot harm it: with its own
# processes, mounts and network (loopback only), all of which end with the command. Without root, or
# if the system does not allow it, the command runs without isolation, and the tests that need an
# engine are skipped with the reason.
if [ "$(id -u)" != 0 ] || ! unshare --net --mount --pid --fork true 2>/dev/null; then
  exec "$@"
fi
directory=$(mktemp -d "${TMPDIR:-/tmp}/dewy-machine-XXXXXX") || exit 1
TMPDIR=$directory DEWY_PRIVATE_MACHINE=$directory \
  unshare --net --mount --pid --fork --mount-proc --kill-child sh -c '
    ip link set lo up && mount -t tmpfs none /run && mkdir -p /run/lock && "$@"
  ' sh "$@"
code=$?
# Created by the engines, which could not remove it when they were killed.
find /sys/fs/cgroup -depth -type d \( -path "*/$(basename "$directory")*" -o -path "*/libpod_parent*" \) -exec rmdir {} + 2>/dev/null
rm -rf "$directory"
exit "$code"
