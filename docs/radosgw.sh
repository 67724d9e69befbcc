#!/bin/sh
# Starts a real S3 server on loopback, in memory: Ceph's gateway with one monitor and one OSD. Ctrl-C stops it.
#
#   apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd
#   docs/radosgw.sh [port]        # default: 7480
set -eu
port=${1:-7480}
access_key=dewy
secret_key=dewy-secret
dir=$(mktemp -d)
pids=

stop() {
  trap - EXIT INT TERM
  [ -z "$pids" ] || kill -9 $pids 2>/dev/null || :
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM

serve() { # program, arguments …
  "$@" >/dev/null 2>&1 &
  pids="$pids $!"
}

fsid=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
monitor="[v2:127.0.0.1:$((port + 1))/0]"
conf=$dir/ceph.conf
mkdir "$dir/mon" "$dir/osd" "$dir/rgw"
cat >"$conf" <<CONF
[global]
fsid = $fsid
mon host = $monitor
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
keyring = $dir/keyring
run dir = $dir
crash dir = $dir
admin socket =
pid file =
log file = $dir/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
[mon]
mon data = $dir/mon
mon data avail crit = 0
mon data avail warn = 0
[osd]
osd data = $dir/osd
[client.rgw]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
CONF

monmaptool --create --fsid "$fsid" --addv a "$monitor" "$dir/monmap" >/dev/null
ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap"
serve ceph-mon -c "$conf" -f -i a
ceph -c "$conf" --connect-timeout 10 osd new "$osd" >/dev/null
ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd" >/dev/null 2>&1
serve ceph-osd -c "$conf" -f -i 0
serve radosgw -c "$conf" -f -n client.rgw --no-mon-config
tries=0
until curl -s -o /dev/null "http://127.0.0.1:$port/"; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ]; then
    tail "$dir/log" >&2
    exit 1
  fi
  sleep 0.1
done
radosgw-admin -c "$conf" -n client.rgw --no-mon-config user create --uid=dewy --display-name=dewy \
  --access-key="$access_key" --secret-key="$secret_key" >/dev/null

echo "S3 at http://127.0.0.1:$port"
echo "export AWS_ACCESS_KEY_ID=$access_key AWS_SECRET_ACCESS_KEY=$secret_key"
wait
