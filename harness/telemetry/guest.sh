# Sampler for a machine that may have nothing but a shell: prints what /proc says, for `harness.telemetry.guest`.
# Arguments: seconds between samples, most samples. It ends by itself, also when nobody is left to stop it.
# Every sample is a line "@ uptime" with lines of /proc below it. In bash nothing is forked: waiting is reading from a
# process that says nothing. An emulated guest needs 80 to 110 ms of CPU time to start `sleep` once.
# In a container /proc shows the whole machine below. Process 2 is the kernel's own, unless this is a container.
line=
{ read -r line </proc/2/comm; } 2>/dev/null
[ "$line" = kthreadd ] && echo 'scope guest' || echo 'scope host'
group=
for file in /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu,cpuacct/cpu.stat; do
  [ -r "$file" ] && group=$file && break
done
pipe=
[ -n "$BASH_VERSION" ] && eval 'coproc { read -r line; }; pipe=${COPROC[0]}' 2>/dev/null
pause() {
  if [ -n "$pipe" ]; then
    # shellcheck disable=SC3045
    read -r -t "$1" -u "$pipe" line
    [ $? -gt 128 ] && return  # the time ran out, as it should; anything else would make this loop spin
  fi
  sleep "$1"
}
left=$2
while [ "$left" -gt 0 ]; do
  read -r uptime rest </proc/uptime
  read -r ticks </proc/stat
  echo "@ $uptime"
  echo "$ticks"
  { read -r line; echo "$line"; read -r line; echo "$line"; read -r line; echo "$line"; } </proc/meminfo
  [ -n "$group" ] && while read -r key value; do
    case $key in throttled_*) echo "$key $value" ;; esac
  done <"$group"
  times
  left=$((left - 1))
  pause "$1"
done
