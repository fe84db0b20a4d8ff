"""Virtual machines of the lab that are held back from inside: by a CPU quota, a limit of I/O, a token bucket.

For experiments alone: `tests/experiments/gate_lab.py` puts this folder where drivers are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from drivers.shell import Shell
from drivers.targets.libvirt import Libvirt
from harness.protocols import GuestSpec

# All processes go into a group of their own, so that whatever the agent starts later is in it too.
# $1 = microseconds of CPU time in each 20 ms ("max": no quota), $2 = operations per second, $3 = bits per second.
_HOLD = """
set -e
top=/sys/fs/cgroup own=/sys/fs/cgroup/slowed
echo '+cpu +io' >$top/cgroup.subtree_control
mkdir -p $own
for pid in $(cat $top/cgroup.procs); do echo "$pid" >$own/cgroup.procs 2>/dev/null || true; done
echo "$1 20000" >$own/cpu.max
if [ "$2" != max ]; then echo "$(cat /sys/class/block/vda/dev) riops=$2 wiops=$2" >$own/io.max; fi
if [ "$3" != max ]; then
  modprobe -q sch_tbf
  for dev in $(ls /sys/class/net); do
    [ "$dev" = lo ] || tc qdisc replace dev "$dev" root tbf rate "${3}bit" burst 64kb latency 50ms
  done
fi
"""


class Slowed(Libvirt, frozen=True, kw_only=True, dict=True):
    """The lab; its guests are held to `quota` of a processor, `iops` operations and `bits` per second; 0: not held."""

    quota: float = 0.0
    iops: float = 0.0
    bits: float = 0.0

    @contextmanager
    def guests(self, specs: Sequence[GuestSpec]) -> Iterator[Sequence[Shell]]:
        """Boot guests, then hold each back."""
        words = [f"{limit:.0f}" if limit else "max" for limit in (20_000 * self.quota, self.iops, self.bits)]
        with Libvirt.guests(self, specs) as machines:
            for machine in machines:
                machine.run(["sh", "-s", *words], timeout=60, stdin=_HOLD.encode()).checked()
            yield machines
