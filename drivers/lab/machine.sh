#!/bin/sh
# One machine of the lab, in three acts that run one after the other in the same process:
#   join    enter the machine's cgroups, and a cgroup namespace that has them as its root
#   split   enter the machine's network namespace, and make all other namespaces
#   inside  as child of process 1: lay out the file system, move into it, start the daemons
# Everything comes from the environment: NAME DIR ROOT (the lab's folder) LOWER (a root file system, or "" for this
# machine's own) CACHE TOOLS (the guest's root file system) NETNS GROUPS (folders to join) LEAF (in cgroup version 2:
# the folder below for the processes) CONTROLLERS (version 1) DAEMON (libvirtd or "")
# CONTAINERS (the folder of Podman's settings, or "").
set -eu
say() { echo "machine $NAME: $*" >&2; }

case $1 in
join)
  for group in $GROUPS; do echo 0 > "$group/cgroup.procs"; done
  exec unshare --cgroup -- /bin/sh "$0" split
  ;;
split)
  [ -z "$LEAF" ] || echo 0 > "$LEAF/cgroup.procs"
  echo $$ > "$DIR/launcher.pid.new"
  mv "$DIR/launcher.pid.new" "$DIR/launcher.pid"
  exec nsenter "--net=$NETNS" -- unshare --mount --uts --ipc --pid --fork --kill-child=KILL --mount-proc -- \
    tini -- /bin/sh "$0" inside
  ;;
esac

hostname "$NAME"
mount --make-rprivate /
new=$DIR/root

# $1 where, $2 what lies below, $3 folder for what is written: an overlay, which falls back to memory for writing where
# the file system cannot carry one.
overlay() {
  mkdir -p "$1" "$3/upper" "$3/work"
  mount -t overlay -o "lowerdir=$2,upperdir=$3/upper,workdir=$3/work" overlay "$1" 2>/dev/null && return
  mount -t tmpfs memory "$3"
  mkdir -p "$3/upper" "$3/work"
  mount -t overlay -o "lowerdir=$2,upperdir=$3/upper,workdir=$3/work" overlay "$1"
}

# $1 a root: its own views of the kernel. The machine's devices are shared.
kernel_views() {
  mount --rbind /dev "$1/dev"
  mount -t proc proc "$1/proc"
  mount -t sysfs sysfs "$1/sys"
  mount -t tmpfs -o mode=755 run "$1/run"
  mkdir -p "$1/run/lock"
}

if [ -n "$LOWER" ]; then
  overlay "$new" "$LOWER" "$DIR/overlay"
  kernel_views "$new"
  for shared in "$ROOT" "$CACHE"; do
    mkdir -p "$new$shared"
    mount --rbind "$shared" "$new$shared"
  done
else
  mount --rbind / "$new"
  # Copies of other namespaces' files would keep those namespaces alive.
  for place in run proc sys; do
    grep -o " $new/$place/[^ ]* " /proc/self/mountinfo | sort -r | while read -r below; do
      umount -l "$below" 2>/dev/null || true
    done
    umount -l "$new/$place" 2>/dev/null || true
  done
  mount -t proc proc "$new/proc"
  mount -t sysfs sysfs "$new/sys"
  mount -t tmpfs -o mode=755 run "$new/run"
  mkdir -p "$new/run/lock"
fi

# The cgroups, seen from the machine's own root.
if [ -n "$CONTROLLERS" ]; then
  mount -t tmpfs -o mode=755 cgroups "$new/sys/fs/cgroup"
  for controller in $CONTROLLERS; do
    mkdir "$new/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "$new/sys/fs/cgroup/$controller"
    case $controller in
      *,*) for part in $(echo "$controller" | tr , ' '); do ln -s "$controller" "$new/sys/fs/cgroup/$part"; done ;;
    esac
  done
elif [ -n "$LEAF" ]; then
  mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
  for controller in $(cat "$new/sys/fs/cgroup/cgroup.controllers"); do
    echo "+$controller" > "$new/sys/fs/cgroup/cgroup.subtree_control" 2>/dev/null || say "no cgroup control of $controller"
  done
fi

mkdir -p "$DIR/private" "$ROOT/private"
mount --bind "$DIR/private" "$new$ROOT/private"
mount --bind "$DIR/hosts" "$new/etc/hosts"
resolver=$(chroot "$new" readlink -m /etc/resolv.conf)
mkdir -p "$new${resolver%/*}"
[ -e "$new$resolver" ] || : > "$new$resolver"
mount --bind "$DIR/resolv.conf" "$new$resolver"

# The guest's own root file system, for the guest's binaries on this machine.
overlay "$new$DIR/tools" "$TOOLS" "$DIR/tools-overlay"
kernel_views "$new$DIR/tools"
mount -t tmpfs -o mode=1777 tmp "$new$DIR/tools/tmp"
cp "$DIR/hosts" "$new$DIR/tools/run/hosts"
mkdir -p "$DIR/scratch"
mount --bind "$DIR/scratch" "$new$DIR/tools/scratch"

if [ -n "$DAEMON" ]; then
  mkdir -p "$new/run/libvirt"
  mount --bind "$DIR/run" "$new/run/libvirt"
  for part in etc lib log cache; do
    case $part in etc) place=/etc/libvirt ;; *) place=/var/$part/libvirt ;; esac
    mkdir -p "$new$place"
    mount --bind "$DIR/$part" "$new$place"
  done
fi

if [ -n "$CONTAINERS" ]; then
  mkdir -p "$new/etc/containers"
  mount --bind "$CONTAINERS/etc" "$new/etc/containers"
fi

cd "$new"
pivot_root . .
umount -l .
cd /

if [ -z "$DAEMON" ]; then
  echo ready > "$DIR/ready"
  exec sleep infinity
fi

# As a host's init system does: the daemon is started again 0.1 s after it died. It has come up when its socket is there.
rm -f /run/libvirt/libvirt-sock
setsid "$DAEMON" --listen &
daemon=$!
while [ ! -S /run/libvirt/libvirt-sock ]; do
  kill -0 "$daemon"
  sleep 0.02
done
echo ready > "$DIR/ready"
while :; do
  wait "$daemon" || true
  say "libvirtd ended; starting it again"
  sleep 0.1
  setsid "$DAEMON" --listen &
  daemon=$!
done
