"""Every workload once with the real tools on this machine, as short as they go: versions change what they print."""

import random
import shutil
from contextlib import ExitStack

import pytest

from drivers.targets.bare import Bare
from harness import codec, registry
from harness.errors import Unsupported
from harness.model import GuestSize
from harness.protocols import GuestSpec

pytestmark = pytest.mark.live
STEPS = [
    ("compute", {"threads": "all", "duration": "1s"}, {"cpu.rate": (1, 1e6)}),
    ("compute", {"method": "matrixprod", "duration": "1s"}, {"cpu.rate": (1, 1e6)}),
    ("memory", {"measure": "bandwidth", "duration": "1s"}, {"memory.bandwidth": (1e7, 1e12)}),
    ("memory", {"measure": "latency", "duration": "1s", "span": "4MiB"}, {"memory.latency": (1e-10, 1e-5)}),
    ("scheduling", {"duration": "500ms"}, {"scheduling.overflow": (0, 500)}),
    ("disk", {"pattern": "randrw", "duration": "1s", "window": "100ms", "size": "16MiB", "precondition": 1},
     {"disk.latency": (1e-7, 10), "disk.rate": (1, 1e7)}),
    ("disk", {"pattern": "read", "duration": "1s", "window": "100ms", "size": "16MiB", "precondition": 1, "depth": 1,
              "load": "50%", "calibrate": "500ms", "keep": True}, {"disk.offered": (1, 1e7)}),
    ("network", {"measure": "tcp", "streams": 2, "duration": "1s"}, {"net.bandwidth": (1e5, 1e12)}),
    ("network", {"measure": "udp", "rate": "1Mbit/s", "duration": "1s"}, {"net.jitter": (0, 1), "net.loss": (0, 1)}),
    ("network", {"measure": "rtt", "duration": "1s", "interval": "20ms"}, {"net.latency": (1e-7, 1)}),
    ("network", {"measure": "rtt", "tool": "sockperf", "duration": "2s"}, {"net.latency": (1e-7, 10)}),
]


class Lab:
    """This machine in every role that it can take."""

    def __init__(self, target, stack):
        self.clock, self.rng, self._machines = target.clock, random.Random(1), {}
        self._target, self._stack = target, stack

    def guest(self, role="sut", *, host=0):
        if (role, host) not in self._machines:
            spec = GuestSpec(role=role, size=GuestSize(), host=host)
            self._machines[role, host] = self._stack.enter_context(self._target.guest(spec))
        return self._machines[role, host]

    def host(self, index=0):
        raise Unsupported("bare has nothing below it")

    client = host


@pytest.mark.parametrize(("name", "params", "ranges"), STEPS,
                         ids=[f"{name}-{number}" for number, (name, _, _) in enumerate(STEPS)])
def test_the_real_tool(name, params, ranges):
    workload = codec.convert(registry.find("workloads", name), params, name)
    for tool in workload.tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed here")
    target = Bare()
    with ExitStack() as stack:
        lab = Lab(target, stack)
        try:
            series = list(workload.run(target, lab))
        except Unsupported as reason:
            pytest.skip(str(reason))
        left = lab.guest().run(["sh", "-c", "ls"], timeout=10).stdout.split()
    assert params.get("keep") or not [name for name in left if name.startswith("virtmark-")]
    for metric, (low, high) in ranges.items():
        values = [value for each in series if each.metric == metric for value in each.values]
        assert values
        assert all(low <= value <= high for value in values), metric
