"""Gates, limit by limit: what fails, what is a caution, what is not judged, and what the notes say."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import codec, telemetry, validity
from harness.clock import FakeClock
from harness.errors import InputError
from harness.model import Evidence, Series, Status, Step, StepResult
from harness.stats.records import Check
from harness.validity import GATES, GateLimits, campaign_gates, cautions, failures, gates

CALM = {
    "load.before": 0.3, "load.after": 2.1, "running.before": 0.0, "clock.step": 2e-7, "clock.slew": -3e-8,
    "controller.cpu": 0.02, "controller.lag": 4e-4, "telemetry.cost": 0.006, "telemetry.missed": 0.0, "host.cpus": 2.0,
    "guest.telemetry.cost": 0.01,
    "host.busy": 1.0, "host.steal": 0.002, "host.iowait": 0.01, "host.throttled": 0.0, "host.swapped.in": 0.0,
    "host.swapped.out": 0.0, "host.oom": 0.0, "host.thermal": 0.0, "controller.steal": 0.0,
}


def step(number=0, **arm):
    return Step(id=f"{number:05d}", stage="cpu", workload="compute", params={}, point="", grid={}, arm=arm,
                round=number, order=number, target="t")


def result(*, elapsed=10.0, telemetry=(), series=(), evidence=(), number=0, arm=None, status=Status.DONE, **conditions):
    named = {key.replace("_", "."): value for key, value in conditions.items()}
    return StepResult(step=step(number, **(arm or {})), status=status, started="2026-01-01T00:00:00Z", elapsed=elapsed,
                      conditions=CALM | named, telemetry=telemetry, series=series, evidence=evidence)


def verdict(name, **kwargs):
    return next(check for check in gates(result(**kwargs)) if check.name == name)


def test_a_workload_that_uses_every_cpu_fails_nothing():
    checks = gates(result(host_busy=1.0, load_after=64.0))
    assert failures(checks) == ()
    assert cautions(checks) == ()
    assert [check.name for check in checks] == [gate.name for gate in GATES]


@pytest.mark.parametrize(("condition", "fine", "caution", "invalid"), [
    ("controller.cpu", 0.05, 0.15, 0.25),
    ("host.steal", 0.005, 0.03, 0.06),
    ("host.throttled", 0.0, 0.02, 0.3),
    ("clock.slew", -1e-5, -1e-3, 0.02),
    ("host.swapped.out", 4096.0, 16e6, 1e9),
    ("controller.lag", 0.001, 0.2, None),
    ("controller.steal", 0.01, 0.2, None),
    ("host.oom", 0.0, 1.0, None),
    ("host.thermal", 0.0, 12.0, None),
    ("telemetry.cost", 0.009, 0.03, None),
    ("guest.telemetry.cost", 0.05, 0.2, None),
    ("telemetry.missed", 0.1, 0.4, None),
    ("clock.step", 0.002, None, -0.5),
])
def test_each_gate_at_three_values(condition, fine, caution, invalid):
    name = "host.swap" if "swapped" in condition else condition

    def judged(value):
        return next(check for check in gates(result(**{condition: value})) if check.name == name)

    assert (judged(fine).passed, judged(fine).note) == (True, "")
    if caution is not None:
        assert judged(caution).passed is True
        assert judged(caution).note.startswith("caution: ")
        assert len(cautions([judged(caution)])) == 1
        assert failures([judged(caution)]) == ()
    if invalid is not None:
        assert judged(invalid).passed is False
        assert failures([judged(invalid)]) == (judged(invalid).note,)
        assert "{" not in judged(invalid).note


def test_a_note_says_what_happened_and_the_limit():
    assert verdict("host.steal", host_steal=0.0612).note == (
        "the physical machine gave 6.12 % of the host's CPU time to others (limit 5 %)")
    assert verdict("clock.step", clock_step=-3600.0).note.startswith("the wall clock was set by 3600 s during the step")


@given(st.sampled_from(GATES), st.floats(0, 1e9, allow_nan=False))
def test_at_the_limit_passes_and_more_is_never_better(gate, value):
    bounds = validity._bounds(gate, GateLimits(), 10.0)
    severity = {True: 0, False: 2}

    def rank(x):
        check = validity.judge(gate, x, bounds)
        return severity[check.passed] + bool(check.note)

    for bound in bounds:
        if bound is not None:
            assert not validity.judge(gate, bound, (bounds[0], None) if bound == bounds[0] else (None, bound)).note
    assert rank(value) <= rank(value * 1.5 + 1e-9)


def test_what_was_not_observed_is_not_judged():
    with telemetry.watch(FakeClock()) as seen:
        pass
    bare = StepResult(step=step(), status=Status.DONE, started="", elapsed=1.0, conditions=seen.conditions())
    checks = gates(bare)
    assert {check.passed for check in checks} == {None}
    assert failures(checks) == cautions(checks) == ()


def test_a_clock_may_drift_by_a_share_of_a_long_step():
    assert verdict("clock.step", clock_step=0.05, elapsed=60.0).passed is False
    assert verdict("clock.step", clock_step=0.05, elapsed=3600.0).passed is True
    assert verdict("clock.step", clock_step=0.05, elapsed=3600.0).limit == pytest.approx(0.36)


def test_the_load_of_the_step_before_is_no_load_before_the_step():
    assert verdict("load.before", load_before=7.9, running_before=0.0).note == ""
    assert verdict("load.before", load_before=0.1, running_before=9.0).note == ""
    assert verdict("load.before", load_before=7.9, running_before=5.0).note.startswith("caution: before the step began")


def test_the_cost_of_watching_a_step_of_milliseconds_is_not_judged():
    assert verdict("telemetry.cost", telemetry_cost=0.6, elapsed=0.005).passed is None


def seen(metric, unit, times, values):
    return Series(metric=metric, unit=unit, times=times, values=values, labels={"source": "host"})


def test_frequency_counts_only_while_the_host_is_busy():
    busy = seen("cpu.busy", "1", (1.0, 2.0, 3.0), (0.9, 0.02, 0.8))
    idle_is_slow = seen("cpu.frequency", "1/s", (0.0, 1.0, 2.0, 3.0), (0.8e9, 3.0e9, 0.8e9, 2.9e9))
    falls = seen("cpu.frequency", "1/s", (1.0, 2.0, 3.0), (3.0e9, 3.0e9, 2.1e9))
    assert verdict("host.frequency", telemetry=(busy, idle_is_slow)).note == ""
    check = verdict("host.frequency", telemetry=(busy, falls))
    assert check.value == pytest.approx(0.3)
    assert "fell by 30 %" in check.note
    assert verdict("host.frequency", telemetry=(busy,)).passed is None


def test_limits_are_read_from_a_profile_with_units():
    table = {"steal_invalid": "10%", "clock_step_invalid": "1s", "swap_warn": "4MiB"}
    limits = codec.convert(GateLimits, table, "p.toml")
    assert gates(result(host_steal=0.06), limits)[2].passed is True
    assert limits.clock_step_invalid == 1.0
    with pytest.raises(InputError, match=r"p\.toml: steal_invalid.*no quantity"):
        codec.convert(GateLimits, {"steal_invalid": 0.1}, "p.toml")
    with pytest.raises(InputError, match="unknown key 'stael'"):
        codec.convert(GateLimits, {"stael": "1%"}, "p.toml")


def test_every_limit_is_used_by_some_gate():
    named = {bound for gate in GATES for bound in (gate.warn, gate.invalid) if isinstance(bound, str)}
    elsewhere = {"clock_step_share", "rounds_spread_warn"}
    assert {field.name for field in msgspec.structs.fields(GateLimits)} == named | elsewhere


# --- many rounds ----------------------------------------------------------------------------------------------------

def rate(value):
    return (Series(metric="cpu.rate", unit="1/s", values=(value,), labels={"threads": "1"}),)


def test_spread_over_rounds_names_the_worst_metric_and_its_arm():
    steady = [result(number=n, series=rate(v), arm={"where": "host"}) for n, v in enumerate((100.0, 101.0, 99.0))]
    wild = [result(number=n, series=rate(v), arm={"where": "guest"}) for n, v in enumerate((100.0, 150.0, 50.0))]
    assert campaign_gates(steady)[0] == Check("rounds.spread", True, pytest.approx(0.01), 0.2, "")
    check = campaign_gates(steady + wild)[0]
    assert check.value == pytest.approx(0.5)
    assert check.note.startswith("caution: cpu.rate threads=1 where=guest varied by 50 %")


def test_warm_ups_broken_steps_and_two_rounds_give_no_spread():
    broken = [result(number=n, series=rate(v), status=Status.BROKEN) for n, v in enumerate((1.0, 2.0, 3.0))]
    few = [result(number=n, series=rate(v)) for n, v in enumerate((1.0, 2.0))]
    assert campaign_gates(broken)[0].passed is None
    assert campaign_gates(few)[0].passed is None


def test_a_histogram_counts_by_its_weights():
    def histogram(n, weight):
        series = Series(metric="disk.latency", unit="s", values=(1.0, 2.0), weights=(1.0, weight))
        return result(number=n, series=(series,))

    assert campaign_gates([histogram(0, 1.0), histogram(1, 1.0), histogram(2, 1.0)])[0].value == 0.0
    assert campaign_gates([histogram(0, 1.0), histogram(1, 1.0), histogram(2, 9.0)])[0].value > 0.1


def called(where, n=0):
    kept = (Evidence(path="x", sha256="0", size=1, source="sut", argv=("/usr/bin/fio", "--output-format=json+")),)
    return result(number=n, arm={"where": where}, evidence=kept)


FACTS = {"guest": {"tool.fio": "fio-3.33"}, "host.0": {"tool.fio": "fio-3.39"}, "controller": {"tool.fio": "fio-2.0"}}


def test_arms_measured_with_different_versions_are_not_comparable():
    check = campaign_gates([called("guest"), called("host")], facts=FACTS)[1]
    assert check.passed is False
    assert check.note.endswith("fio (guest: fio-3.33, host.0: fio-3.39)")
    same = FACTS | {"host.0": {"tool.fio": "fio-3.33"}}
    assert campaign_gates([called("guest"), called("host")], facts=same)[1].passed is True


def test_without_arms_different_versions_are_a_caution_and_unknown_ones_are_not_judged():
    check = campaign_gates([called("guest")], facts=FACTS)[1]
    assert check.passed is True
    assert check.note.startswith("caution: tools differ")
    assert campaign_gates([called("guest")])[1].passed is None
    assert campaign_gates([result()], facts=FACTS)[1].passed is None
