#!/bin/sh
# An upgrade may have changed the unit.
[ ! -d /run/systemd/system ] || systemctl daemon-reload
