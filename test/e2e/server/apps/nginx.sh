#!/bin/sh
# nginx takes listening sockets over from an older nginx only: this passes the descriptors as nginx
# does itself.
set -eu
# /x/current would move under a running generation.
home=$(cd -P "$(dirname "$0")/.." && pwd)
run=$home/run.$$
mkdir "$run"
listen= NGINX=
old_ifs=$IFS; IFS=';'
for port in $SERVER_STARTER_PORT; do
  name=${port%=*} fd=${port##*=}
  # nginx compares with the name that a unix socket was bound to, which dewy has renamed since.
  case $name in /*)
    inode=$(readlink "/proc/$$/fd/$fd" | tr -dc 0-9)
    name=unix:$(awk -v inode="$inode" '$7 == inode { print $8 }' /proc/net/unix)
  esac
  listen="$listen listen $name;"
  NGINX="$NGINX$fd;"
done
IFS=$old_ifs
export NGINX
# nginx expects what an older nginx would leave: sockets that do not block. On a blocking socket, a
# worker that loses the race for a connection stays in accept(), and all its other connections stall.
perl -MFcntl -e 'for (@ARGV) { open S, "+<&=$_"; fcntl S, F_SETFL, O_NONBLOCK | fcntl(S, F_GETFL, 0) or die "$_: $!" }' \
  $(echo "$NGINX" | tr ';' ' ')
cat >"$run/nginx.conf" <<CONF
daemon off;
worker_processes 2;
pid $run/pid;
error_log stderr warn;
user root;
events { worker_connections 512; }
http {
  access_log ${APP_REPORT:-$run}.access;
  client_body_temp_path $run/body; proxy_temp_path $run/proxy; fastcgi_temp_path $run/fastcgi;
  uwsgi_temp_path $run/uwsgi; scgi_temp_path $run/scgi;
  server {
    $listen
    root $home;
    location = / { return 200 "@VERSION@"; }
    location = /slow { limit_rate 1000; try_files /slow.txt =404; }
  }
}
CONF
exec /usr/sbin/nginx -c "$run/nginx.conf" -p "$run"
