# Prints what a machine is, one `key=value` a line, for `harness.fingerprint`. POSIX sh; whatever is missing is left out.
# Argument: the directory that workloads write to. Lines `version NAME` for tools are appended by the caller.
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
say() { [ -n "$2" ] && printf '%s=%s\n' "$1" "$2"; }
# first KEY FILE: its first line
first() { line=; [ -r "$2" ] && { read -r line <"$2" || :; } 2>/dev/null; say "$1" "$line"; }
# nearest KEY DIRECTORY CGROUP FILE: the limit that is set on the group or, failing that, on the nearest one above it
nearest() {
  group=${3%/}
  while :; do
    line=; [ -r "$2$group/$4" ] && { read -r line <"$2$group/$4" || :; } 2>/dev/null
    case $line in ''|max*|-1|9223372036854771712) ;; *) say "$1" "$line"; return ;; esac
    [ -z "$group" ] && return
    group=${group%/*}
  done
}
# version NAME: the first line with a version in what the tool says of itself
version() {
  command -v "$1" >/dev/null 2>&1 || return
  for option in --version -V --help; do
    text=$("$1" $option </dev/null 2>&1)
    while read -r line; do
      case $line in *[0-9].[0-9]*|*version*[0-9]*|*[0-9][0-9][0-9][0-9][0-9][0-9]*) say "tool.$1" "$line"; return ;; esac
    done <<END
$text
END
  done
}

if [ -r /etc/os-release ]; then (. /etc/os-release; say os.name "$PRETTY_NAME"); fi
first kernel.release /proc/sys/kernel/osrelease
first kernel.build /proc/sys/kernel/version
# Of the kernel's command line only what bears on speed: the rest may name people, places and keys.
kept=
set -f
{ read -r line </proc/cmdline || :; } 2>/dev/null
for word in $line; do
  case $word in
    --) break ;;
    mitigations=*|spec*|nospec*|pti=*|nopti|mds=*|l1tf=*|tsx*|retbleed=*|isolcpus=*|nohz*|rcu_nocb*|irqaffinity=*|threadirqs|\
    preempt=*|intel_pstate=*|amd_pstate=*|cpufreq*|*idle*|*cstate*|nosmt*|maxcpus=*|nr_cpus=*|mem=*|*hugepage*|numa*|\
    clocksource=*|tsc=*|notsc|nohpet|hpet=*|no-kvmclock|kvm*|iommu*|*_iommu=*|swiotlb=*|elevator=*|cgroup*|systemd.unified*|psi=*|\
    nested*|page_reporting*|nowatchdog|nmi_watchdog=*|skew_tick=*|audit=*|selinux=*|apparmor=*) kept="$kept $word" ;;
  esac
done
set +f
say kernel.cmdline "${kept# }"
first kernel.lsm /sys/kernel/security/lsm
if [ -r /proc/sys/kernel/arch ]; then first arch /proc/sys/kernel/arch; else say arch "$(uname -m)"; fi

cpu=/sys/devices/system/cpu
sed -n '/^$/q; s/[[:space:]]*:[[:space:]]*/=/; s/^/cpuinfo./p' /proc/cpuinfo 2>/dev/null
first cpu.online $cpu/online
first cpu.isolated $cpu/isolated
for folder in $cpu/cpu[0-9]*/topology; do
  package=; core=
  { read -r package <"$folder/physical_package_id" && read -r core <"$folder/core_id"; } 2>/dev/null && echo "topology=$package $core"
done
first cpu.governor $cpu/cpu0/cpufreq/scaling_governor
first cpu.driver $cpu/cpu0/cpufreq/scaling_driver
first cpu.preference $cpu/cpu0/cpufreq/energy_performance_preference
first cpu.frequency.max $cpu/cpu0/cpufreq/cpuinfo_max_freq
first cpu.no_turbo $cpu/intel_pstate/no_turbo
first cpu.boost $cpu/cpufreq/boost
first cpu.smt $cpu/smt/control
first cpu.idle $cpu/cpuidle/current_driver
for file in $cpu/vulnerabilities/*; do first "mitigation.${file##*/}" "$file"; done
for folder in /sys/devices/system/node/node[0-9]*; do [ -d "$folder" ] && echo "node=${folder##*/node}"; done

lscpu 2>/dev/null | while IFS=: read -r line rest; do
  case $line in
    'Hypervisor vendor') say virt.vendor "$rest" ;;
    'Virtualization type') say virt.type "$rest" ;;
  esac
done
first dmi.vendor /sys/class/dmi/id/sys_vendor
first dmi.product /sys/class/dmi/id/product_name
first dmi.bios /sys/class/dmi/id/bios_version
for module in kvm_intel kvm_amd; do first virt.kvm.nested /sys/module/$module/parameters/nested; done
[ -c /dev/kvm ] && echo 'virt.kvm=present'
# Process 2 is the kernel's own, unless this is a container; the marker files also lie in images made bootable.
line=
{ read -r line </proc/2/comm; } 2>/dev/null
if [ -n "$container" ]; then say virt.container "$container"
elif [ "$line" = kthreadd ]; then :
elif [ -e /run/.containerenv ]; then echo 'virt.container=podman'
elif [ -e /.dockerenv ]; then echo 'virt.container=docker'
else echo 'virt.container=namespaces'
fi

sed -n 's/^\(MemTotal\|SwapTotal\|HugePages_Total\|Hugepagesize\): *\([0-9]*\).*/meminfo.\1=\2/p' /proc/meminfo 2>/dev/null
first memory.thp /sys/kernel/mm/transparent_hugepage/enabled
# Numbers below /proc/sys give only their first digit to a shell that reads byte by byte, so a program reads them.
grep -s . /proc/sys/vm/swappiness /proc/sys/kernel/numa_balancing /proc/sys/kernel/tainted | while IFS=: read -r file line; do
  case $file in
    */swappiness) say memory.swappiness "$line" ;;
    */numa_balancing) say memory.numa_balancing "$line" ;;
    */tainted) say kernel.tainted "$line" ;;
  esac
done
first memory.ksm /sys/kernel/mm/ksm/run
first clock.source /sys/devices/system/clocksource/clocksource0/current_clocksource
first clock.available /sys/devices/system/clocksource/clocksource0/available_clocksource
first net.congestion /proc/sys/net/ipv4/tcp_congestion_control
first net.qdisc /proc/sys/net/core/default_qdisc

top=/sys/fs/cgroup
if [ -e $top/cgroup.controllers ]; then echo 'cgroup.version=2'
elif [ -d $top/unified ]; then echo 'cgroup.version=hybrid'
elif [ -d $top/cpu ] || [ -d $top/memory ]; then echo 'cgroup.version=1'
fi
while IFS=: read -r tree controllers path; do
  case $tree:$controllers in
    0:) nearest cgroup.cpu.max $top "$path" cpu.max
        nearest cgroup.memory.max $top "$path" memory.max
        nearest cgroup.cpuset $top "$path" cpuset.cpus ;;
    *:cpu|*:cpu,*|*:*,cpu) nearest cgroup.cpu.quota $top/cpu "$path" cpu.cfs_quota_us
        nearest cgroup.cpu.period $top/cpu "$path" cpu.cfs_period_us ;;
    *:memory) nearest cgroup.memory.max $top/memory "$path" memory.limit_in_bytes ;;
    *:cpuset) nearest cgroup.cpuset $top/cpuset "$path" cpuset.cpus ;;
  esac
done 2>/dev/null </proc/self/cgroup

df -P "$1" 2>/dev/null | {
  read -r line
  read -r device _ _ free _ place
  say scratch.free "$free"
  found=
  while read -r device mount kind options rest; do
    [ "$mount" = "$place" ] && found=$kind && chosen=$options && from=$device
  done 2>/dev/null </proc/mounts
  say scratch.fs "$found"; say scratch.options "$chosen"; say scratch.device "$from"
}
for folder in /sys/block/*; do
  [ -e "$folder/device" ] || continue
  first "block.${folder##*/}.scheduler" "$folder/queue/scheduler"
  first "block.${folder##*/}.cache" "$folder/queue/write_cache"
  first "block.${folder##*/}.rotational" "$folder/queue/rotational"
done

first state.cpu /proc/stat
first state.load /proc/loadavg
first state.uptime /proc/uptime
