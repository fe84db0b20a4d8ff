"""Indicators: the catalogue is well formed, scores are what their definitions say, and gates reach the verdict."""

import itertools
import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from drivers.tools import fio
from drivers.tools.reading import document
from harness import codec, plan, registry, scenario
from harness.indicators import catalogue, gather
from harness.indicators.base import BACKGROUND, DEFAULTS, quantity
from harness.model import Series, Status, Step, StepResult
from harness.stats import decide
from harness.stats.records import DEFAULT_POLICY, Direction, Requirement, Verdict
from harness.units import BY_BASE

DATA = Path(__file__).parents[2] / "data" / "tools"
TWENTY = {*(f"CPU-0{n}" for n in range(1, 6)), *(f"MEM-0{n}" for n in range(1, 4)), *(f"STO-0{n}" for n in range(1, 8)),
          *(f"NET-0{n}" for n in range(1, 6))}
ORDER = itertools.count()
FIRST = {"compute": {}, "scheduling": {}, "memory": {"measure": "bandwidth"}, "disk": {"pattern": "randread"},
         "network": {"measure": "tcp"}, "application": {}}


def result(workload, at, series, *, arm=(), status=Status.DONE, telemetry=(), conditions=None, **params):
    step = Step(id=f"{workload}{params}#{at}", stage=workload, workload=workload, params=params, point=workload,
                grid={}, arm={key: params[key] for key in arm}, round=at, order=next(ORDER), target="t")
    return StepResult(step=step, status=status, started="", elapsed=1.0, series=tuple(series), telemetry=telemetry,
                      conditions=conditions or {})


def one(metric, unit, value, **labels):
    return Series(metric=metric, unit=unit, values=(float(value),), labels=labels)


def evaluate(name, results, policy=DEFAULT_POLICY):
    indicator = catalogue()[name]
    return indicator.evaluate([each for each in results if indicator.applies(each.step)], policy)


def check(found, name):
    (hit,) = [each for each in found.checks if each.name == name]
    assert hit in found.estimate.assumptions
    return hit


# the catalogue

@pytest.mark.parametrize("row", catalogue().values(), ids=lambda row: row.id)
def test_a_row_is_complete(row):
    assert re.fullmatch(r"[A-Z]{2,4}-\d\d(\.[a-z0-9]+)?", row.id)
    assert row.id.partition(".")[0] in catalogue()
    assert re.search("[\u4e00-\u9fff]", row.name_zh)
    assert row.name
    assert row.source
    assert row.definition.endswith(".")
    assert row.unit in BY_BASE
    assert row.direction is not Direction.TARGET
    assert row.workload in {*registry.names("workloads"), "imported", BACKGROUND}


def test_the_twenty_are_there():
    assert catalogue().keys() >= TWENTY


def test_an_id_is_given_once():
    row = next(iter(catalogue().values()))
    with pytest.raises(ValueError, match=f"{row.id} is defined twice, the second time in extra.py"):
        gather({row.id: row}, (row,), "extra")


@pytest.mark.parametrize("key", DEFAULTS)
def test_defaults_are_those_of_the_workloads(key):
    for workload, least in FIRST.items():
        record = codec.convert(registry.find("workloads", workload), least, workload)
        if hasattr(record, key):
            wanted = DEFAULTS[key]
            if base := {"load": "1", "slo": "s", "slo_quantile": "1", "slo_errors": "1"}.get(key):
                wanted = pytest.approx(BY_BASE[base].read(wanted))
            assert getattr(record, key) == wanted


@pytest.mark.parametrize("name", sorted(scenario.packaged("scenario")))
def test_every_step_of_a_packaged_scenario_counts_for_an_indicator(name):
    (made,) = plan.make([scenario.load(name)], ["t"], seed=1).plans
    for step in made.steps:
        assert [row.id for row in catalogue().values() if row.workload == step.workload and row.applies(step)], step.id


@pytest.mark.parametrize("name", ["quick", "certify"])
def test_the_scenario_covers_the_twenty(name):
    (made,) = plan.make([scenario.load(name)], ["t"], seed=1).plans
    covered = {row.id for row in catalogue().values() for step in made.steps
               if row.workload == step.workload and row.applies(step)}
    assert covered >= TWENTY


@pytest.mark.parametrize("name", sorted(scenario.packaged("scenario")))
def test_one_indicator_takes_one_step_of_a_round_and_arm(name):
    (made,) = plan.make([scenario.load(name)], ["t"], seed=1).plans
    for row in catalogue().values():
        if row.id in ("CPU-02.efficiency", "CPU-03", "CPU-03.all", "NET-03", "NET-03.latency", "APP-01", "APP-01.p50"
                      ) or "-06" in row.id:
            continue
        seen = [(step.point, step.round) for step in made.steps if row.workload == step.workload and row.applies(step)
                and not row.id.startswith("MEM-03")]
        assert len(seen) == len(set(seen)), row.id


# scores and estimates

def compute(rates, **params):
    return [result("compute", at, [one("cpu.rate", "1/s", rate, threads=str(params.get("threads", 1)))], **params)
            for at, rate in enumerate(rates)]


def test_absolute_performance_is_the_guests_alone():
    found = evaluate("CPU-01", compute([100, 110, 121]) + compute([900, 900, 900], where="host")
                     + compute([300] * 3, threads=4))
    assert found.estimate.estimate == pytest.approx(110)
    assert (found.scores, found.rounds) == ((100.0, 110.0, 121.0), (0, 1, 2))
    assert (found.estimate.unit, found.estimate.direction) == ("1/s", Direction.HIGHER_IS_BETTER)
    assert found.estimate.indicator_id == "CPU-01"
    assert found.estimate.n == 3


def test_efficiency_pairs_threads_within_a_round():
    ones = compute([100, 200, 400], arm=["threads"], threads=1)
    many = compute([320, 640, 1280], arm=["threads"], threads=4)
    found = evaluate("CPU-02.efficiency", many + ones)
    assert found.scores == pytest.approx((0.8, 0.8, 0.8))
    assert found.estimate.estimate == pytest.approx(0.8)
    assert found.estimate.direction is Direction.HIGHER_IS_BETTER


def test_overhead_pairs_guest_and_host_within_a_round():
    guest = compute([80, 90, 160], arm=["where"], where="guest")
    host = compute([100, 100, 200], arm=["where"], where="host")
    found = evaluate("CPU-03", guest + host)
    assert found.scores == pytest.approx((0.2, 0.1, 0.2))
    assert found.estimate.estimate == pytest.approx(1 - (0.8 * 0.9 * 0.8) ** (1 / 3))
    assert (found.estimate.unit, found.estimate.direction) == ("1", Direction.LOWER_IS_BETTER)


def test_overhead_of_a_latency_is_an_increase():
    def latency(values, where):
        return [result("memory", at, [one("memory.latency", "s", value, pages="small")], arm=["where"], where=where,
                       measure="latency") for at, value in enumerate(values)]

    found = evaluate("MEM-03.latency", latency([3e-7, 4e-7], "guest") + latency([2e-7, 2e-7], "host"))
    assert found.scores == pytest.approx((0.5, 1.0))
    assert found.estimate.estimate == pytest.approx(2**0.5 * 3**0.5 / 2**0.5 - 1)


def test_rounds_that_broke_are_left_out_and_unpaired_ones_too():
    broken = [result("compute", 1, [], status=Status.BROKEN, arm=["where"], where="host")]
    guest = compute([80, 90, 70], arm=["where"], where="guest")
    host = [each for each in compute([100, 100, 100], arm=["where"], where="host") if each.step.round != 1]
    assert evaluate("CPU-03", guest + host + broken).rounds == (0, 2)
    with pytest.raises(ValueError, match="no step of this point was completed"):
        evaluate("CPU-01", [result("compute", 0, [], status=Status.BROKEN)])


def test_two_steps_of_one_round_are_refused():
    with pytest.raises(ValueError, match="two steps in round 0 count for one number"):
        evaluate("CPU-01", compute([100]) + compute([120]))


def test_a_result_without_the_series_is_refused():
    with pytest.raises(ValueError, match=r"no single value of cpu\.rate"):
        evaluate("CPU-01", [result("compute", 0, [one("cpu.operations", "1", 5)])])


def test_few_operations_cannot_be_judged():
    few = [result("compute", at, [one("cpu.rate", "1/s", 9 + at, threads="1"), one("cpu.operations", "1", 20)])
           for at in range(5)]
    assert check(evaluate("CPU-01", few), "operations counted").passed is None


@pytest.mark.parametrize(("clock", "steal", "passed"), [("tsc kvm-clock", 0.0, True), ("tsc acpi_pm", 0.0, None),
                                                        ("tsc", 0.02, True)])
def test_a_zero_steal_counts_only_where_it_could_be_seen(clock, steal, passed):
    results = [result("compute", at, [one("cpu.rate", "1/s", 1, threads="2", clock=clock)], threads=2,
                      conditions={"guest.steal": steal}) for at in range(5)]
    found = evaluate("CPU-04", results)
    assert found.estimate.estimate == steal
    assert check(found, "steal is reported").passed is passed
    assert found.estimate.resolution == pytest.approx(0.005)  # one tick of 10 ms, two processors, 1 s


def test_steal_falls_back_on_samples_and_its_p95_is_one_of_them():
    samples = Series(metric="cpu.steal", unit="1", values=tuple(n / 100 for n in range(20)), labels={"source": "guest"})
    results = [result("compute", at, [], threads=2, telemetry=(samples,)) for at in range(2)]
    assert evaluate("CPU-04", results).scores == pytest.approx((0.095, 0.095))
    assert evaluate("CPU-04.p95", results).scores == pytest.approx((0.18, 0.18))


def wakeups(counts, overflow=0, at=0):
    labels = {"stat": "histogram", "layout": "us"}
    return result("scheduling", at, [
        Series(metric="scheduling.latency", unit="s", values=tuple(us / 1e6 for us in counts),
               weights=tuple(map(float, counts.values())), labels=labels),
        one("scheduling.latency", "s", 0.005, stat="max"), one("scheduling.overflow", "1", overflow)])


def test_wakeup_percentiles_are_exact():
    found = evaluate("CPU-05", [wakeups({10: 99900, 20: 99, 30: 1}), wakeups({10: 99899, 20: 100, 30: 1}, at=1)])
    assert found.scores == pytest.approx((10e-6, 20e-6))
    assert check(found, "not censored").passed is True
    assert check(found, "tail sampled").passed is True
    assert found.estimate.resolution == 1e-6


def test_wakeups_beyond_the_last_bin_are_censored():
    found = evaluate("CPU-05", [wakeups({10: 990}, overflow=10)])
    assert check(found, "not censored").passed is False
    assert check(found, "tail sampled").passed is None
    assert found.scores == (0.005,)
    assert evaluate("CPU-05.max", [wakeups({10: 990}, overflow=10)]).scores == (0.005,)
    assert evaluate("CPU-05.median", [wakeups({10: 990}, overflow=10)]).scores == (10e-6,)


# storage

def recorded_disk(name, at=0, history=None, **params):
    case = json.loads((DATA / "fio" / f"{name}.json").read_text())
    job = codec.convert(fio.Load, case["arguments"], name)
    series = [*scaled(job.parse((DATA / "fio" / case["output"]).read_text()), 1 + at / 100), *(history or [])]
    kept = {key: case["arguments"][key] for key in ("pattern", "depth", "block") if key in case["arguments"]}
    return result("disk", at, series, **kept | params)


def scaled(series, factor):
    """The rates of another round: the same recorded run, a little faster."""
    return [msgspec.structs.replace(each, values=tuple(factor * v for v in each.values))
            if each.metric == "disk.rate" else each for each in series]


def history(values, window=1.0, op="read", direct="1"):
    return Series(metric="disk.rate", unit="1/s", values=tuple(map(float, values)),
                  times=tuple(window * (n + 1) for n in range(len(values))),
                  labels={"op": op, "stat": "series", "window": f"{window:g}", "direct": direct})


FLAT = history(10000 + 30 * np.random.default_rng(1).standard_normal(320))
DRIFT = history(np.linspace(12000, 9000, 320) + 30 * np.random.default_rng(2).standard_normal(320))
SHORT = history([10000, 10010, 9990, 10005, 9995])


@pytest.mark.parametrize("name", ["randread-qd32", "randwrite-qd1", "rated-2000"])
@pytest.mark.parametrize(("p", "suffix"), [(0.99, "p99"), (0.999, "p999")])
def test_percentiles_are_those_that_fio_itself_prints(name, p, suffix):
    case = json.loads((DATA / "fio" / f"{name}.json").read_text())
    said = document((DATA / "fio" / case["output"]).read_text(), "fio").at("jobs", 0)
    op = "write" if "write" in name else "read"
    own = said[op]["clat_ns"]["percentile"][f"{100 * p:.6f}"] / 1e9
    found = evaluate(f"STO-05.{suffix}", [recorded_disk(name, history=[SHORT], depth=1)])
    assert found.scores == (own,)
    assert dict(found.estimate.budget.u_b)["bin width"] <= own / 64 / 12**0.5


def test_reads_and_writes_are_merged_by_their_counts():
    found = evaluate("STO-05", [recorded_disk("mixed-8k-2jobs", history=[SHORT], depth=1)])
    said = document((DATA / "fio" / "mixed-8k-2jobs.txt").read_text(), "fio").at("jobs", 0)
    sums = sum(said[op]["clat_ns"]["mean"] * said[op]["clat_ns"]["N"] for op in ("read", "write"))
    assert found.scores == pytest.approx((sums / sum(said[op]["total_ios"] for op in ("read", "write")) / 1e9,))
    rate = evaluate("STO-03", [recorded_disk("mixed-8k-2jobs", history=[SHORT])])
    assert rate.scores == pytest.approx((said["read"]["iops"] + said["write"]["iops"],))


@pytest.mark.parametrize(("series", "passed"), [(FLAT, True), (DRIFT, False), (SHORT, None)])
def test_the_steady_state_gate_stands_on_every_storage_number(series, passed):
    for name in ("STO-01", "STO-07", "STO-07.slope"):
        found = evaluate(name, [recorded_disk("randread-qd32", history=[series])])
        assert check(found, "steady state").passed is passed
    light = evaluate("STO-05", [recorded_disk("randread-qd32", history=[series], depth=1)])
    assert check(light, "steady state").passed is passed


@pytest.mark.parametrize(("series", "verdict"), [(FLAT, Verdict.PASS), (DRIFT, Verdict.INVALID),
                                                 (SHORT, Verdict.INCONCLUSIVE)])
def test_the_gate_decides_over_the_verdict(series, verdict):
    results = [recorded_disk("randread-qd32", at, history=[series]) for at in range(6)]
    estimate = evaluate("STO-01", results).estimate
    limit = Requirement(indicator_id="STO-01", op=">=", limit=100.0, unit="1/s", source="test")
    assert decide(estimate, limit).verdict is verdict


def test_a_ramp_is_left_out_of_all_rounds_alike():
    ramped = history(np.concatenate([np.full(40, 5000.0), np.full(320, 10000.0)])
                     + 20 * np.random.default_rng(3).standard_normal(360))
    flat = history(10000 + 20 * np.random.default_rng(4).standard_normal(360))
    whole = [recorded_disk("randread-qd32", at) for at in range(2)]
    raw = [sum(each.values[0] for each in step.series if each.metric == "disk.rate") for step in whole]
    results = [recorded_disk("randread-qd32", at, history=[series]) for at, series in enumerate((ramped, flat))]
    found = evaluate("STO-01", results)
    assert check(found, "steady state").passed is True
    assert found.scores[0] == pytest.approx(raw[0] * np.mean(ramped.values[40:]) / np.mean(ramped.values), rel=1e-3)
    assert found.scores[1] == pytest.approx(raw[1], rel=1e-3)
    light = [recorded_disk("randread-qd32", at, history=[series], depth=1) for at, series in enumerate((ramped, flat))]
    assert check(evaluate("STO-05", light), "steady from the start").passed is None
    assert check(evaluate("STO-05", light[1:]), "steady from the start").passed is True


def test_one_step_that_is_not_steady_spoils_the_point():
    results = [recorded_disk("randread-qd32", at, history=[series]) for at, series in enumerate((FLAT, SHORT, DRIFT))]
    assert check(evaluate("STO-01", results), "steady state").passed is False
    assert check(evaluate("STO-01", results[:2]), "steady state").passed is None


def test_range_and_slope_are_those_of_five_rounds():
    rising = history(np.repeat([100.0, 110, 120, 130, 140], 60))
    results = [recorded_disk("randread-qd32", history=[rising])]
    assert evaluate("STO-07", results).scores == pytest.approx((40 / 120,))
    assert evaluate("STO-07.slope", results).scores == pytest.approx((40 / 120,))


def test_the_page_cache_is_no_storage():
    cached = recorded_disk("rated-2000", history=[FLAT], depth=1)
    assert check(evaluate("STO-05", [cached]), "direct I/O").passed is False
    assert check(evaluate("STO-05", [recorded_disk("randwrite-qd1", history=[FLAT])]), "direct I/O").passed is True


@pytest.mark.parametrize(("offered", "passed"), [(2000.0, True), (4000.0, False)])
def test_latencies_of_overload_are_refused(offered, passed):
    step = recorded_disk("rated-2000", history=[FLAT, one("disk.offered", "1/s", offered)], load="70%", depth=8)
    assert check(evaluate("STO-05", [step]), "offered load reached").passed is passed


def test_storage_overhead_takes_the_recorded_histograms():
    def side(where, name):
        return [recorded_disk(name, at, history=[FLAT], depth=1, arm=["where"], where=where) for at in range(3)]

    found = evaluate("STO-06.p99", side("guest", "randread-qd32") + side("host", "randread-qd32"))
    assert found.scores == (0.0, 0.0, 0.0)


def test_light_load_and_full_load_are_told_apart():
    rows = catalogue()
    full, light, rated = (recorded_disk("randread-qd32", **params).step
                          for params in ({}, {"depth": 1}, {"load": "70%"}))
    assert [rows["STO-01"].applies(step) for step in (full, light, rated)] == [True, False, False]
    assert [rows["STO-05"].applies(step) for step in (full, light, rated)] == [False, True, True]
    assert quantity(rated, "load", "1") == pytest.approx(0.7)


# network

def trips(values, at=0, weights=(), path="cross-host", resolution="1e-06", **params):
    labels = {"stat": "sample", "resolution": resolution, "path": path}
    return result("network", at, [Series(metric="net.latency", unit="s", values=tuple(values), weights=tuple(weights),
                                         labels=labels)], measure="rtt", **params)


def test_round_trip_times():
    results = [trips([1e-3] * 99 + [5e-3]), trips([2e-3, 4e-3], at=1, weights=[99, 1])]
    assert evaluate("NET-04", results).scores == pytest.approx((1.04e-3, 2.02e-3))
    assert evaluate("NET-04.p99", results).scores == (1e-3, 2e-3)
    assert evaluate("NET-04.max", results).scores == (5e-3, 4e-3)
    assert check(evaluate("NET-04.p99", results), "tail sampled").passed is None
    assert evaluate("NET-04", [*results, trips([1e-3], at=2, resolution="0.0001")]).estimate.resolution == 1e-4


def test_loopback_is_told():
    assert any(text.startswith("loopback") for text in evaluate("NET-04", [trips([1e-3], path="loopback")])
               .estimate.warnings)
    assert not any(text.startswith("loopback") for text in evaluate("NET-04", [trips([1e-3])]).estimate.warnings)


def test_tcp_efficiency_counts_what_was_sent_again():
    series = [one("net.retransmits", "1", 10), one("net.sent", "B", 1448 * 1000), one("net.segment", "B", 1448)]
    found = evaluate("NET-02.efficiency", [result("network", at, series, measure="tcp", path="cross-host")
                                           for at in range(3)])
    assert found.scores == pytest.approx((0.99, 0.99, 0.99))


def test_a_salvaged_output_is_told_and_a_cut_one_cannot_be_judged():
    def noted(note):
        return [result("network", at, [one("net.jitter", "s", 1e-3, note=note)], measure="udp") for at in range(3)]

    assert check(evaluate("NET-05", noted("text before the JSON: hello")), "tool output whole").passed is True
    cut = check(evaluate("NET-05", noted("text before the JSON: fio: terminating on signal 2")), "tool output whole")
    assert (cut.passed, cut.note) == (None, "text before the JSON: fio: terminating on signal 2")
