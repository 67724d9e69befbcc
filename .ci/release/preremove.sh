#!/bin/sh
# Stops all apps before their dewy is removed. An upgrade leaves them running.
case $1 in
remove | 0) # dpkg's argument, and rpm's
  [ ! -d /run/systemd/system ] || systemctl stop 'dewy@*'
  ;;
esac
