"""Telemetry of this machine: recorded /proc files, a clock that jumps, and properties of the arithmetic."""

import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import telemetry
from harness.clock import FakeClock, RealClock
from harness.errors import ToolError
from harness.telemetry import kernel
from harness.telemetry.counters import RATES, SHARES, TICKS, Sample, rates, rise, series, shares, window
from harness.telemetry.host import DEAR_LEAST, GRACE, Sampler

DATA = Path(__file__).parents[2] / "data" / "observe"
PROC = DATA / "host-proc"


def at(time, **values):
    return Sample(time, dict.fromkeys(TICKS, 0.0) | values)


def metric(found, name):
    return next(s for s in found if s.metric == name)


# --- arithmetic -----------------------------------------------------------------------------------------------------

def test_shares_and_rates_of_a_worked_example():
    samples = [at(0.0, user=1.0, idle=1.0, steal=0.0, **{"disk.read": 100.0}),
               at(0.5, user=1.4, idle=1.4, steal=0.2, **{"disk.read": 600.0})]
    assert list(shares(samples, SHARES["cpu.busy"])) == [(0.5, pytest.approx(0.4))]
    assert list(shares(samples, SHARES["cpu.steal"])) == [(0.5, pytest.approx(0.2))]
    assert list(rates(samples, "disk.read")) == [(0.5, 1000.0)]


def test_an_interval_without_a_tick_has_no_share():
    assert list(shares([at(0.0, user=1.0), at(0.001, user=1.0)], SHARES["cpu.busy"])) == []


def test_a_disk_that_went_away_gives_no_rate_for_that_interval():
    samples = [at(float(t), **{"disk.read": value}) for t, value in enumerate((100.0, 200.0, 50.0, 80.0))]
    assert list(rates(samples, "disk.read")) == [(1.0, 100.0), (3.0, 30.0)]
    assert rise(samples, "disk.read") is None


def test_idle_time_that_runs_backwards_counts_as_standing_still():
    samples = [at(0.0, idle=5.0, user=1.0), at(1.0, idle=4.99, user=1.5)]
    assert list(shares(samples, SHARES["cpu.busy"])) == [(1.0, 1.0)]


def test_dear_counters_are_paired_with_their_own_predecessor():
    samples = [at(0.0, **{"net.sent": 0.0}), at(0.1), at(0.2), at(0.4, **{"net.sent": 40.0})]
    assert list(rates(samples, "net.sent")) == [(0.4, pytest.approx(100.0))]


def test_controller_series_are_labelled_as_such():
    found = series([at(0.0, user=0.0, **{"controller.cpu": 0.0}), at(1.0, user=1.0, **{"controller.cpu": 0.25})],
                   {"source": "guest"})
    assert metric(found, "controller.cpu").labels == {"source": "controller"}
    assert metric(found, "controller.cpu").values == (0.25,)
    assert metric(found, "cpu.busy").labels == {"source": "guest"}


steps = st.lists(st.fixed_dictionaries({tick: st.integers(0, 500) for tick in TICKS}), min_size=1, max_size=12)


@given(steps)
def test_shares_partition_the_time_and_the_window_is_their_mean_weighted_by_time(rises):
    samples, now = [at(0.0)], dict.fromkeys(TICKS, 0)
    for index, more in enumerate(rises, 1):
        now = {tick: now[tick] + more[tick] for tick in TICKS}
        samples.append(Sample(float(index), dict(now)))
    totals = {float(i): sum(more.values()) for i, more in enumerate(rises, 1)}
    seen = {name: dict(shares(samples, ticks)) for name, ticks in SHARES.items()}
    for when in seen["cpu.busy"]:
        assert 0 <= seen["cpu.busy"][when] + seen["cpu.iowait"][when] + seen["cpu.steal"][when] <= 1 + 1e-12
        assert seen["cpu.user"][when] + seen["cpu.system"][when] == pytest.approx(seen["cpu.busy"][when])
    whole = window(samples)
    for name, points in seen.items():
        if points:
            weighted = sum(value * totals[when] for when, value in points.items()) / sum(totals.values())
            assert whole[name] == pytest.approx(weighted)
    assert all(len(s.times) == len(s.values) for s in series(samples, {"source": "host"}))


# --- what is read of this machine -----------------------------------------------------------------------------------

def test_readings_of_recorded_proc_files(monkeypatch):
    found = []
    for folder in ("0", "1"):
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(PROC / folder))
        found.append(Sample(float(folder), {**kernel.cpu(), **kernel.switches(), **kernel.memory()}))
    ticks = [[int(x) for x in (PROC / f / "stat").read_text().splitlines()[0].split()[1:9]] for f in ("0", "1")]
    spent = dict(zip(TICKS, (b - a for a, b in zip(*ticks, strict=True)), strict=True))
    busy = (sum(spent.values()) - spent["idle"] - spent["iowait"] - spent["steal"]) / sum(spent.values())
    assert busy > 0.3  # one of two CPUs was kept busy on purpose while this was recorded
    assert window(found)["cpu.busy"] == pytest.approx(busy)
    assert window(found)["cpu.steal"] == pytest.approx(spent["steal"] / sum(spent.values()))
    memory = dict(line.split(":") for line in (PROC / "1" / "meminfo").read_text().splitlines())
    used = int(memory["MemTotal"].split()[0]) - int(memory["MemAvailable"].split()[0])
    assert found[1].values["memory.used"] == used * 1024


def test_every_reader_of_this_machine_gives_what_the_series_know():
    known = {*TICKS, *RATES, "memory.used", "cpu.frequency", "events.oom", "events.thermal"}
    for name, read in (kernel.QUICK | kernel.DEAR).items():
        try:
            values = read()
        except OSError:
            assert name in {"disk", "frequency", "throttling", "heat"}  # what a small machine may lack
        else:
            assert values
            assert set(values) <= known
            assert all(value >= 0 for value in values.values())


V1 = "9:name=systemd:/\n4:memory:/x\n2:cpu,cpuacct:/user.slice/a.scope\n1:cpuset:/\n0::/user.slice/a.scope\n"


def test_throttling_is_looked_for_in_both_versions_of_cgroups():
    assert kernel.throttle_files(V1) == [
        "/sys/fs/cgroup/user.slice/a.scope/cpu.stat", "/sys/fs/cgroup/cpu,cpuacct/user.slice/a.scope/cpu.stat"]
    assert kernel.throttle_files("0::/\n") == ["/sys/fs/cgroup/cpu.stat"]


@pytest.mark.parametrize(("text", "seconds"), [
    ("nr_periods 31\nnr_throttled 31\nthrottled_time 2250000000\nnr_bursts 0\n", 2.25),
    ("usage_usec 123\nnr_periods 4\nthrottled_usec 1500000\n", 1.5),
    ("usage_usec 123\nuser_usec 100\n", None),
])
def test_throttled_time_of_both_versions(text, seconds):
    assert kernel.throttled_time(text) == seconds


def test_clock_offsets_stand_still_on_a_machine_that_nobody_sets():
    assert abs(kernel.wall_offset() - kernel.wall_offset()) < 0.5
    assert abs(kernel.raw_offset() - kernel.raw_offset()) < 0.5


# --- the schedule ---------------------------------------------------------------------------------------------------

def sampled(clock, sampler, *, seconds, delays=(), cost=0.0):
    """Run the sampler in simulated time: reading n is late by delays[n], every reading costs `cost` CPU seconds."""
    late, spent = iter(delays), [0.0]

    def wait(timeout):
        clock.sleep(timeout + next(late, 0.0))
        return clock.now() >= seconds

    def read():
        spent[0] += cost
        return {"idle": clock.now()}

    sampler._quick, sampler._dear = {"cpu": read}, {"memory": lambda: {"memory.used": 1.0}}
    sampler.run(clock.now, wait, lambda: spent[0])
    return [sample.time for sample in sampler.samples]


def test_the_schedule_is_absolute():
    times = sampled(FakeClock(), Sampler(0.1), seconds=1.0, delays=[0.0, 0.03, 0.0, 0.05])
    assert times == pytest.approx([0.0, 0.13, 0.2, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def test_ticks_slept_through_are_counted_not_made_up_for():
    sampler = Sampler(0.1)
    times = sampled(FakeClock(), sampler, seconds=1.0, delays=[0.0, 0.35])
    assert times == pytest.approx([0.0, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert sampler.missed == 3
    lags = [sample.values.get("controller.lag") for sample in sampler.samples]
    assert lags[1] == pytest.approx(0.35)
    assert lags[-1] is None  # the last reading follows the end of the step, not the schedule


def test_dear_readings_are_made_once_a_second_and_at_the_end_of_what_is_long_enough():
    def dear(seconds):
        sampler = Sampler(0.1)
        sampled(FakeClock(), sampler, seconds=seconds)
        return [round(sample.time, 3) for sample in sampler.samples if "memory.used" in sample.values]

    assert dear(2.55) == [0.0, 1.0, 2.0, 2.6]
    assert dear(0.05) == [0.0]
    assert dear(DEAR_LEAST + 0.05) == [0.0, pytest.approx(0.3)]


@given(st.floats(0.0005, 0.05))
def test_the_budget_holds_however_dear_a_reading_is(cost):
    sampler = Sampler(0.1, budget=0.01)
    sampled(FakeClock(), sampler, seconds=60.0, cost=cost)
    assert sampler.spent <= 0.01 * 60.0 + GRACE + 2 * cost  # the last within budget and the final one
    assert sampler.missed + len(sampler.samples) - 1 == sampler.ticks


def test_what_cannot_be_read_is_noted_once_and_the_rest_goes_on():
    def broken():
        raise KeyError("a field that this kernel lacks")

    sampler = Sampler(0.1)
    sampler._quick, sampler._dear = {"odd": broken, "cpu": lambda: {"idle": 1.0}}, {}
    ends = iter([False] * 5 + [True])
    sampler.run(FakeClock().now, lambda timeout: next(ends), lambda: 0.0)
    assert len(sampler.notes) == 1
    assert "odd: not read" in sampler.notes[0]
    assert all(sample.values["idle"] == 1.0 for sample in sampler.samples)


def test_in_simulated_time_nothing_is_sampled():
    threads = threading.active_count()
    with telemetry.watch(FakeClock()) as seen:
        assert threading.active_count() == threads
    assert seen.series() == ()
    assert seen.conditions() == {}


def test_a_watch_over_this_machine(tmp_path):
    with telemetry.watch(RealClock(), rate=50.0) as seen:
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"], check=True)
    conditions = seen.conditions()
    assert {"load.before", "load.after", "clock.step", "controller.cpu", "telemetry.cost", "host.busy", "host.steal",
            "host.cpus"} <= conditions.keys()
    assert 0 < conditions["host.busy"] <= 1
    assert abs(conditions["clock.step"]) < 0.5
    found = seen.series()
    assert all(s.labels["source"] == ("controller" if s.metric.startswith("controller") else "host") for s in found)
    assert metric(found, "cpu.busy").times == tuple(sorted(metric(found, "cpu.busy").times))
    assert threading.active_count() == 1 or "telemetry" not in {t.name for t in threading.enumerate()}


def test_a_watch_ends_its_thread_and_tells_even_when_the_step_fails():
    seen = telemetry.watch(RealClock(), source="controller")

    def step():
        with seen:
            raise ToolError("fio: died")

    with pytest.raises(ToolError):
        step()
    assert "controller.cpus" in seen.conditions()
    assert "telemetry" not in {thread.name for thread in threading.enumerate()}
