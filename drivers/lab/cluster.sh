#!/bin/sh
# Joins the host it runs on to the lab's cluster, or does nothing on a host whose cluster runs: its own folders for
# Corosync and Pacemaker, the fence agent among the system's programs, and the two daemons.
# $1 = the host's folder for the cluster (corosync.conf, cib.xml), $2 = the folder that holds the fence agent.
set -eu
pgrep -x pacemakerd >/dev/null && exit 0
if ! mountpoint -q /var/lib/pacemaker; then
  for place in /var/lib/pacemaker /var/log/pacemaker /var/lib/corosync /var/log/corosync /etc/corosync /dev/shm; do
    mkdir -p "$place"
    mount -t tmpfs -o mode=755 cluster "$place"
  done
  chmod 1777 /dev/shm
  mount -t overlay -o "lowerdir=$2:/usr/sbin" overlay /usr/sbin
  install -d -o hacluster -g haclient -m 750 /run/crm /var/lib/pacemaker /var/log/pacemaker \
    /var/lib/pacemaker/blackbox /var/lib/pacemaker/cib /var/lib/pacemaker/cores /var/lib/pacemaker/pengine
  mkdir -p /run/resource-agents
fi
mount --bind "$1" /var/log/pacemaker
chown hacluster:haclient "$1"
cp "$1/corosync.conf" /etc/corosync/
[ -e /var/lib/pacemaker/cib/cib.xml ] ||
  install -o hacluster -g haclient -m 600 "$1/cib.xml" /var/lib/pacemaker/cib/cib.xml
pgrep -x corosync >/dev/null || nice -n -10 corosync
tries=0
until corosync-cfgtool -s >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 100 ] || { echo "corosync does not answer" >&2; exit 1; }
  sleep 0.1
done
exec nice -n -10 setsid --fork pacemakerd
