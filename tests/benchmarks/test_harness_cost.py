"""What the harness adds to a step beyond the tool's own time, beside one exec of the same tool in the same run.

The target on `bare` is at most 5 ms and one exec. `extra_info` of the step holds the figures: the fastest tenth of
both, since everything slower is somebody else's work on the machine; and the CPU time of the controller, which does not
grow with that.
"""

import subprocess
from time import perf_counter, process_time

import pytest

import drivers.workloads
from harness import attempt, plan, scenario, store
from harness.errors import VirtmarkError
from harness.masking import UNMASKED
from harness.model import Repetition, Run, Scenario, Stage, Status
from harness.rounds import Boots, Round
from harness.surroundings import Vantage

STEPS = 60
SHORTEST = Scenario(name="cost", title="Cost", stage=(Stage(workload="toytrue"),), repetition=Repetition(rounds=STEPS))
TARGETS = ["bare", *(pytest.param(name, marks=pytest.mark.live) for name in ("lab", "lab-podman", "lab-lxc"))]


def quick(times):
    """Return the mean of the fastest tenth, in s."""
    fastest = sorted(times)[:max(1, len(times) // 10)]
    return sum(fastest) / len(fastest)


def timed(call, number):
    times = []
    for _ in range(number):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return times


@pytest.fixture
def toytrue(monkeypatch, request):
    folder = request.config.rootpath / "tests/plugins/workloads"
    monkeypatch.setattr(drivers.workloads, "__path__", [*drivers.workloads.__path__, str(folder)])


@pytest.fixture
def target(request):
    try:
        placed = scenario.target(request.param)
        placed.target.facts()
    except VirtmarkError as error:
        pytest.skip(f"{request.param} is not there: {error}")
    yield placed.target
    if callable(close := getattr(placed.target, "close", None)):
        close()


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_cost_of_a_step(benchmark, toytrue, target, tmp_path):
    own = plan.make([SHORTEST], ["here"], seed=1).plans[0]
    folder = tmp_path / "run"
    store.create(folder, Run(plan=own, facts={}, created="", version="0"), {})
    here = target.facts().get("accelerator") == "none"
    setting = attempt.Setting(folder=folder, seed=1, mask=UNMASKED, vantage=Vantage("host", not here), lacking={},
                              wall=lambda: "2026-01-01T00:00:00Z")
    steps = iter(own.steps)
    with Round(target, SHORTEST.guest, Boots(), print) as machines, store.Journal(folder) as journal:
        guest = machines.guest("sut", 0)

        worked = []

        def step():
            begun = process_time()
            result = attempt.attempt(next(steps), machines, setting)
            journal.append(result)
            worked.append(process_time() - begun)
            assert result.status is Status.DONE, result.error

        step()
        local = timed(lambda: subprocess.run(["true"], capture_output=True, check=True), STEPS)
        there = timed(lambda: guest.run(["true"], timeout=60), 10)
        benchmark.pedantic(step, rounds=STEPS - 1 if here else 8, iterations=1)
    whole = quick(benchmark.stats.stats.data) if benchmark.stats else float("nan")
    benchmark.extra_info |= {
        "local exec, ms": round(1e3 * quick(local), 2), "exec on the target, ms": round(1e3 * quick(there), 2),
        "step, ms": round(1e3 * whole, 2), "step beyond its exec, ms": round(1e3 * (whole - quick(there)), 2),
        "step over exec": round(whole / quick(there), 2), "controller's CPU time, ms": round(1e3 * quick(worked), 2)}
    print("\n", dict(benchmark.extra_info))
    assert store.verify(folder) == []
