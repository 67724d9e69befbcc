#!/bin/sh
# Generations that must never be the only one. The release is made with one behaviour.
echo "generation $$ @BEHAVIOUR@"
case @BEHAVIOUR@ in
exits-at-once) echo "cannot read the configuration" >&2; exit 3 ;;
exits-after-3s) sleep 3; echo "lost the database" >&2; exit 1 ;;
crash-loops) while [ ! -e crash ]; do sleep 0.1; done; echo "lost the database" >&2; exit 7 ;;
hangs) exec sleep 1000 ;;
ignores-sigterm) trap '' TERM; while :; do sleep 1; done ;;
forks-children) for child in 1 2 3; do (trap '' TERM HUP; exec sleep 1000) & done; sleep 0.3; exit 1 ;;
floods-output) yes "flood flood flood flood flood flood flood flood flood flood flood" | head -c 50000000; exit 1 ;;
esac
