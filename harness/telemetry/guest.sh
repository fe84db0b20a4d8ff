# Sampler for a machine that may have nothing but a shell: prints what /proc says, for `harness.telemetry.guest`.
# Arguments: seconds between samples, most samples. It ends by itself, also when nobody is left to stop it.
# Every sample is a line "@ uptime" with lines of /proc below it. All but `sleep` are built into the shell.
if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || [ -n "$container" ]; then echo "scope host"; else echo "scope guest"; fi
group=
for file in /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu,cpuacct/cpu.stat; do
  [ -r "$file" ] && group=$file && break
done
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
  sleep "$1"
done
