# Sampler for a machine that may have nothing but a shell: prints what /proc says, for `harness.telemetry.guest`.
# Arguments: seconds between samples, most samples, seconds until it is all over. It ends by itself, also when nobody
# is left to stop it. Every sample is a line "@ uptime" with lines of /proc below it, and nothing is started for it: an
# emulated guest needs 80 to 110 ms of CPU time to start a program, and 20 to start busybox. To pause is to read, with
# a time limit, from a process that says nothing; a shell that knows no time limit starts `sleep` each time.
# shellcheck disable=SC3045
# In a container /proc shows the whole machine below. Process 2 is the kernel's own, unless this is a container.
read -r line </proc/sys/kernel/random/boot_id && echo "boot $line"
line=
{ read -r line </proc/2/comm; } 2>/dev/null
[ "$line" = kthreadd ] && echo 'scope guest' || echo 'scope host'
group=
for file in /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu,cpuacct/cpu.stat; do
  [ -r "$file" ] && group=$file && break
done
nap="sleep"
command -v busybox >/dev/null 2>&1 && nap='busybox sleep'
{ read -r -t 1 line; } 2>/dev/null </dev/null
[ $? = 2 ] && timed='' || timed=yes
sample() {
  read -r uptime rest </proc/uptime
  read -r ticks </proc/stat
  echo "@ $uptime"
  echo "$ticks"
  { read -r line; echo "$line"; read -r line; echo "$line"; read -r line; echo "$line"; } </proc/meminfo
  [ -n "$group" ] && while read -r key value; do
    case $key in throttled_*) echo "$key $value" ;; esac
  done <"$group"
  times
}
pause() {
  if [ "$timed" ] && [ "$uptime" != "$before" ]; then read -r -t "$1" line; else $nap "$1"; fi
  before=$uptime
}
[ "$2" = 0 ] && exit
[ "$2" = 1 ] && sample && exit
$nap "$3" | {
  left=$2 before=
  while sample; left=$((left - 1)); [ "$left" -gt 0 ] && kill -0 $$; do pause "$1"; done 2>/dev/null
}
