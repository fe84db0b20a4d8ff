"""The facts of a machine: one table of keys, what each says, and whether two machines must agree in it.

A key that ends in `.*` stands for a family. Values are text; what a machine does not tell is absent.
"""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """A fact; `matters` where a difference may explain a difference between results."""

    name: str
    meaning: str
    matters: bool = True


KEYS = (
    Key("os.name", "distribution and release"),
    Key("kernel.release", "kernel version"),
    Key("kernel.build", "build number, preemption model, build date"),
    Key("kernel.cmdline", "what of the kernel command line bears on speed; the rest may be confidential"),
    Key("kernel.lsm", "security modules in the kernel"),
    Key("kernel.tainted", "what the kernel says is unusual about it (bit mask; 0: nothing)", False),
    Key("arch", "instruction set"),
    Key("cpu.model", "CPU model name"),
    Key("cpu.vendor", "CPU vendor"),
    Key("cpu.family", "CPU family"),
    Key("cpu.modelnumber", "CPU model within the family"),
    Key("cpu.stepping", "CPU stepping"),
    Key("cpu.microcode", "microcode revision"),
    Key("cpu.flags.sha256", "first 16 digits of SHA-256 over the sorted CPU flags"),
    Key("cpu.flags", "those CPU flags that explain speed: vectors, crypto, clocks, virtualization", False),
    Key("cpu.bugs", "known flaws of the CPU"),
    Key("cpu.online", "CPUs online, as a list of ranges"),
    Key("cpu.threads", "hardware threads seen"),
    Key("cpu.cores", "cores seen"),
    Key("cpu.sockets", "sockets seen"),
    Key("cpu.isolated", "CPUs kept free of other work"),
    Key("cpu.governor", "frequency governor"),
    Key("cpu.driver", "frequency driver"),
    Key("cpu.preference", "energy preference of the frequency driver"),
    Key("cpu.frequency.max", "highest frequency, Hz"),
    Key("cpu.turbo", "on or off"),
    Key("cpu.smt", "simultaneous multithreading: on, off, forceoff, notsupported"),
    Key("cpu.idle", "driver of the CPU's sleep states"),
    Key("mitigation.*", "what the kernel does about each vulnerability of the CPU"),
    Key("numa.nodes", "NUMA nodes"),
    Key("virt.level", "metal, guest (a virtual machine), container, or container in guest"),
    Key("virt.vendor", "hypervisor below this machine"),
    Key("virt.type", "kind of virtualization below this machine"),
    Key("virt.container", "container engine around this machine; namespaces: some other, such as a host of the lab"),
    Key("virt.nested", "offered: a guest that is shown hardware virtualization for guests of its own; no: it is not"),
    Key("virt.kvm", "present: /dev/kvm exists; whether a guest boots is another question"),
    Key("virt.kvm.nested", "whether the KVM module offers nesting"),
    Key("dmi.vendor", "maker of the machine by its firmware"),
    Key("dmi.product", "product by its firmware"),
    Key("dmi.bios", "firmware version"),
    Key("memory.total", "memory, B"),
    Key("memory.swap", "swap space, B"),
    Key("memory.hugepages", "huge pages set aside, number of pages"),
    Key("memory.hugepagesize", "size of a huge page, B"),
    Key("memory.thp", "transparent huge pages"),
    Key("memory.swappiness", "vm.swappiness"),
    Key("memory.ksm", "kernel samepage merging: 0 off, 1 on"),
    Key("memory.numa_balancing", "automatic NUMA balancing: 0 off"),
    Key("clock.source", "clock source in use"),
    Key("clock.available", "clock sources to choose from", False),
    Key("net.congestion", "TCP congestion control"),
    Key("net.qdisc", "default queueing discipline"),
    Key("cgroup.version", "1, 2 or hybrid"),
    Key("cgroup.cpu", "CPU quota on this machine's own control group, in CPUs"),
    Key("cgroup.memory", "memory limit on this machine's own control group, B"),
    Key("cgroup.cpuset", "CPUs that this machine's own control group may use"),
    Key("scratch.fs", "file system of the directory that workloads write to"),
    Key("scratch.options", "its mount options"),
    Key("scratch.device", "its device", False),
    Key("scratch.free", "space left in it, B", False),
    Key("block.*", "per disk: I/O scheduler, write cache, whether it rotates"),
    Key("state.steal", "share of CPU time since boot that the hypervisor gave to others", False),
    Key("state.load", "load average over 1, 5 and 15 minutes", False),
    Key("state.uptime", "time since boot, s", False),
    Key("tool.*", "what a tool says of its version"),
    Key("python.version", "Python that runs virtmark"),
    Key("python.implementation", "its implementation"),
    Key("library.*", "versions of the libraries that virtmark computes with"),
    Key("virtmark.version", "version of virtmark"),
    Key("virtmark.revision", "git revision of a checkout; +changes where files differ from it"),
)
# The CPU flags worth reading by a person; the rest is in the hash.
FLAGS = frozenset({
    "avx", "avx2", "avx512f", "avx512vl", "amx_tile", "sse4_2", "aes", "vaes", "sha_ni", "pclmulqdq", "rdrand",
    "rdseed", "fsrm", "erms", "constant_tsc", "nonstop_tsc", "tsc_known_freq", "tsc_reliable", "rdtscp", "hypervisor",
    "vmx", "svm", "ept", "npt", "pcid", "invpcid", "asimd", "sve", "sve2", "crc32", "atomics", "sha2",
})


def matters(key: str) -> bool:
    """Return whether machines that differ in `key` may differ in results because of it; unknown keys do."""
    return next((entry.matters for entry in KEYS if covers(entry, key)), True)


def covers(entry: Key, key: str) -> bool:
    """Return whether `key` is the key of `entry` or of its family."""
    return key == entry.name or (entry.name.endswith(".*") and key.startswith(entry.name[:-1]))
