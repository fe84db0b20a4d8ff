"""What one trivial command costs on each target, beside starting the same program directly, in the same run.

`extra_info` holds the fastest tenth of both, since everything slower is somebody else's work on the machine, and their
difference. By ssh the bare OpenSSH client over the same connection is timed as well.
"""

import os
from contextlib import ExitStack
from time import perf_counter

import pytest

from harness.model import GuestSize
from harness.protocols import GuestSpec
from tests.support import platforms

SPEC = GuestSpec(role="sut", size=GuestSize())


def fastest(call, number):
    """Return the mean of the fastest tenth, in s."""
    times = []
    for _ in range(number):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    best = sorted(times)[:max(1, number // 10)]
    return sum(best) / len(best)


def spawn(argv=("/bin/true",)):
    os.waitpid(os.posix_spawnp(argv[0], argv, os.environ), 0)


@pytest.mark.benchmark(group="one trivial command")
@pytest.mark.parametrize("case", platforms.cases())
def test_a_trivial_command(benchmark, case, tmp_path):
    with ExitStack() as stack:
        target = stack.enter_context(platforms.ready(case, tmp_path))
        guest = stack.enter_context(target.guest(SPEC))
        guest.run(["true"], timeout=60)
        number = 100 if case.name in platforms.ALWAYS else 20
        directly = fastest(spawn, 200)
        benchmark.pedantic(lambda: guest.run(["true"], timeout=60), rounds=number, warmup_rounds=2)
        took = fastest(lambda: guest.run(["true"], timeout=60), number)
        benchmark.extra_info |= {"seconds": took, "posix_spawn_seconds": directly, "ratio": took / directly}
        if case.name == "ssh":
            client = guest._link.client("exec true")
            benchmark.extra_info["ssh_client_seconds"] = fastest(lambda: spawn(client), number)
        assert took > 0.5 * directly or case.name == "fake"
