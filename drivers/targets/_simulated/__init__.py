"""Simulated measuring programs: each prints what the real one prints, in its format, and takes simulated time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.targets._simulated import disk, network, processors
from drivers.targets._simulated.world import Answer, Conditions

PROGRAMS: dict[str, Callable[[Sequence[str], Conditions], Answer]] = {
    "sysbench": processors.sysbench, "stress-ng": processors.stress_ng, "cyclictest": processors.cyclictest,
    "fio": disk.fio, "iperf3": network.iperf3, "ping": network.ping, "sockperf": network.sockperf,
}
__all__ = ["PROGRAMS", "Answer", "Conditions"]
