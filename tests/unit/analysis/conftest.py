"""Runs and findings made up through the model types, tidy and nasty; nothing here was measured.

`campaign(vendors, nasty=...)` gives what `virtmark run` and `judge` would leave: interleaved rounds, histograms, time
series with telemetry, broken steps. Numbers come from a seeded generator: the same call gives the same data.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from harness import stats
from harness.model import Evidence, Finding, Plan, Repetition, Run, Scenario, Series, Stage, Status, Step, StepResult
from harness.stats.records import Check, Direction, Requirement, Verdict

WHEN = "2026-10-01T10:00:00Z"
FACTS = (
    {"vendor": "Debian", "product": "QEMU/KVM with libvirt", "version": "7.2.17", "accelerator": "tcg"},
    {"vendor": "Debian", "product": "QEMU/KVM with libvirt", "version": "10.0.2", "accelerator": "tcg"},
    {"vendor": "Podman", "product": "podman", "version": "4.3.1", "accelerator": "container"},
    {"vendor": "Bare metal", "product": "", "version": "", "accelerator": "none"},
    {"vendor": "Example Simulated Systems", "product": "Fakevisor", "version": "1.0", "accelerator": "simulated",
     "simulated": "true"},
    {"vendor": "北京示例科技", "product": "云平台", "version": "V3.2", "accelerator": "kvm"},
)
NASTY = (
    {"vendor": "<script>alert(1)</script>", "product": "A & B \"Cloud\"", "version": "1.0", "accelerator": "kvm"},
    {"vendor": "Höchst Außergewöhnliche Virtualisierungsgesellschaft mbH & Co. KG aus Österreich",
     "product": "Enterprise Platform Ultimate Edition for Mission Critical Workloads",
     "version": "2026.10.31-rc4+build.9182", "accelerator": "kvm nested under tcg, no acceleration"},
    {"vendor": "$x^2$ \\frac{", "product": "_math_", "version": "%s {0}", "accelerator": "kvm"},
    {"vendor": "Same", "product": "Name", "version": "1", "accelerator": "kvm"},
    {"vendor": "Same", "product": "Name", "version": "1", "accelerator": "kvm"},
    {"vendor": "Line\nbreak\x00\x1b[31m\u2028 and Averyveryveryveryveryveryverylongwordwithoutanyspaceatall",
     "product": "", "version": "", "accelerator": "simulated", "simulated": "true"},
)
SPECS = (  # indicator, unit, direction, points, centre, op, limit
    ("CPU-01", "1/s", "higher", ("threads=1",), 850.0, ">=", 800.0),
    ("CPU-02", "1/s", "higher", ("threads=2", "threads=4", "threads=16"), 1600.0, None, None),
    ("CPU-03", "1", "lower", ("threads=1", "threads=2"), 0.035, "<=", 0.05),
    ("CPU-05", "s", "lower", ("interval=1ms",), 120e-6, "<=", 200e-6),
    ("MEM-01", "B/s", "higher", ("block=1MiB",), 9.3e9, ">=", 15e9),
    ("STO-01", "1/s", "higher", ("iodepth=1", "iodepth=4", "iodepth=32"), 21e3, ">=", 20e3),
    ("STO-05", "s", "lower", ("iodepth=1", "iodepth=32"), 0.0043, "<=", 0.02),
    ("NET-01", "B/s", "higher", ("streams=1", "streams=4"), 1.1e9, None, None),
    ("NET-05", "1", "lower", ("rate=100Mbit/s",), 0.0004, "<=", 0.001),
)
GATES = (Check("controller.cpu", True, 0.04, 0.2), Check("host.steal", True, 0.0, 0.05),
         Check("host.throttled", None, None, 0.05, "not judged: not observed"),
         Check("load.before", True, 1.3, 1.0, "caution: other work already took 130 % of the CPUs"))


def number_of(text):
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def floats(values):
    return tuple(map(float, values))


def estimate(scores, unit, direction, indicator=""):
    """Return what the statistics core makes of scores."""
    method = stats.gm_ci if min(scores) > 0 and unit != "1" else stats.mean_ci
    return method(scores, unit=unit, direction=Direction(direction), indicator_id=indicator)


def loss(rng, share, rounds, indicator):
    """Return (estimate, scores) of an overhead of about `share`, guest and host paired by round."""
    host = 1000 * rng.lognormal(0, 0.02, rounds)
    guest = host * (1 - share) * rng.lognormal(0, 0.008, rounds)
    found = stats.overhead(guest, host, Direction.HIGHER_IS_BETTER, indicator_id=indicator)
    return replace(found, direction=Direction.LOWER_IS_BETTER), floats(1 - guest / host)


def finding(rng, target, spec, point, *, rounds=5, shift=1.0):
    indicator, unit, direction, _, centre, op, limit = spec
    factor = 1 + 0.5 * (number_of(point) % 5) if unit != "1" else 1.0
    if indicator == "CPU-03":
        found, scores = loss(rng, centre * shift, rounds, indicator)
    else:
        scores = floats(centre * factor * shift * rng.lognormal(0, 0.03, rounds))
        found = estimate(scores, unit, direction, indicator)
    asked = Requirement(indicator_id=indicator, op=op, limit=limit * factor, unit=unit,
                        source="example profile, clause 4.2") if op else None
    decision = stats.decide(found, asked) if asked else None
    return Finding(indicator=indicator, target=target, verdict=decision.verdict if decision else Verdict.MEASURED,
                   point=point, estimate=found, requirement=asked, decision=decision, scores=scores,
                   rounds=tuple(range(rounds)), gates=GATES,
                   reasons=("the interval holds the limit",) if decision and decision.n_needed else ())


def findings(vendors=3, *, seed=1, rounds=5, specs=SPECS, nasty=False):
    rng = np.random.default_rng(seed)
    made = [finding(rng, f"target-{index}", spec, point, rounds=rounds, shift=1 + 0.12 * index * (-1) ** index)
            for spec in specs for point in spec[3] for index in range(vendors)]
    return [*spoiled(made), *odd(sorted({one.target for one in made}))] if nasty else made


def spoiled(made):
    """Return the findings, four of them spoiled: infinite interval, INVALID, NOT_APPLICABLE, NOT_RUN."""
    first, second, third, fourth, *rest = made
    change = msgspec.structs.replace
    wide = stats.median_ci(first.scores, unit="1/s", direction=Direction.HIGHER_IS_BETTER)
    return [
        change(first, estimate=wide, verdict=Verdict.INCONCLUSIVE,
               reasons=("fewer than 6 rounds: <b>no</b> interval",)),
        change(second, verdict=Verdict.INVALID, reasons=("not steady: range 41 % of mean, at most 20 %",),
               gates=(Check("steady state", False, 0.41, 0.2, "range 41 % of mean"),)),
        Finding(indicator=third.indicator, target=third.target, point=third.point, verdict=Verdict.NOT_APPLICABLE,
                reasons=("the platform offers no machine below its guests",)),
        Finding(indicator=fourth.indicator, target=fourth.target, point=fourth.point, verdict=Verdict.NOT_RUN,
                reasons=("the run was stopped before this step",)), *rest]


def odd(targets):
    """Return findings of huge, tiny, constant, zero and negative numbers, and one without any step."""
    rng, out = np.random.default_rng(5), []
    for indicator, unit, centre, spread in (("MEM-02", "s", 3.1e-9, 0.02), ("NET-04", "s", 0.0, 0),
                                            ("VML-01", "s", 4e5, 0), ("STO-04", "B/s", 7.5e12, 0.02),
                                            ("QOS-09", "1", -0.4, 0.02)):
        for target in targets:
            scores = floats(centre + abs(centre) * spread * rng.standard_normal(6))
            out.append(Finding(indicator=indicator, target=target, verdict=Verdict.MEASURED, scores=scores,
                               estimate=estimate(scores, unit, "lower"), rounds=tuple(range(6))))
    return [*out, Finding(indicator="HA-03", target=targets[0], verdict=Verdict.NOT_RUN,
                          reasons=("no step that measures it was planned",))]


def step(target, *, stage="disk", workload="disk", point="", turn=0, order=0, arm=None):
    return Step(id=f"{stage}-{point}-{turn}-{order}", stage=stage, workload=workload, params={"duration": "10s"},
                point=point, grid={}, arm=arm or {}, round=turn, order=order, target=target)


def fio_histogram(rng, count, centre, *, clamp=False):
    """Return the latency of `count` requests in fio's bins, in seconds; `clamp` puts some into the open last one."""
    spikes = rng.random(count) < 0.002
    draws = rng.lognormal(math.log(centre), 0.4, count) * np.where(spikes, 20, 1) * 1e9
    if clamp:
        draws[:max(1, count // 500)] = 20e9
    found = stats.LatencyHistogram.from_samples(draws.astype(np.int64))
    kept = np.flatnonzero(found.counts)
    return Series(metric="disk.latency", unit="s", values=floats(found.layout.key(kept) / 1e9),
                  weights=floats(found.counts[kept]),
                  labels={"op": "read", "stat": "histogram", "layout": "fio", "tool": "fio"})


def rate(rng, seconds, level):
    """Return a rate for every second that settles after a ramp; the step filled its file for 8 s before."""
    times = np.arange(1, seconds + 1, dtype=float)
    values = level * (1 - 0.4 * np.exp(-times / 6)) * (1 + 0.03 * rng.standard_normal(seconds))
    return Series(metric="disk.rate", unit="1/s", values=floats(values), times=floats(times + 8),
                  labels={"op": "read", "stat": "series", "tool": "fio", "window": "1"})


def telemetry(rng, seconds):
    times = np.arange(0, seconds, 0.5)
    return tuple(Series(metric=metric, unit="1", times=floats(times), labels={"source": source},
                        values=floats(np.clip(level + 0.05 * rng.standard_normal(len(times)), 0, 1)))
                 for metric, source, level in (("cpu.busy", "host", 0.6), ("cpu.steal", "host", 0.02),
                                               ("cpu.busy", "controller", 0.05)))


def kept(name):
    return Evidence(path=f"raw/{name}/fio.json", sha256=hashlib.sha256(name.encode()).hexdigest(), size=71_000,
                    source="guest", argv=("fio", "--output-format=json+"), code=0, elapsed=60.2)


def disk_result(rng, where, *, centre, seconds=60, clamp=False):
    return StepResult(
        step=where, status=Status.DONE, started=WHEN, elapsed=seconds + 9.3, telemetry=telemetry(rng, seconds + 9),
        series=(fio_histogram(rng, 40_000, centre, clamp=clamp), rate(rng, seconds, 20 / centre)),
        conditions={"load.before": 0.4, "load.after": 1.2, "clock.step": 1e-5, "controller.cpu": 0.02},
        evidence=(kept(f"{where.point}-{where.round}"),))


def wakeup_result(rng, where, *, centre):
    late = np.floor(rng.lognormal(math.log(centre), 0.5, 60_000) * 1e6)
    bins, counts = np.unique(late, return_counts=True)
    return StepResult(
        step=where, status=Status.DONE, started=WHEN, elapsed=61.0, conditions={"load.before": 0.1, "load.after": 0.3},
        series=(Series(metric="scheduling.latency", unit="s", values=floats(bins * 1e-6), weights=floats(counts),
                       labels={"stat": "histogram", "layout": "us", "tool": "cyclictest"}),
                Series(metric="scheduling.overflow", unit="1", values=(0.0,), labels={"tool": "cyclictest"})))


def broken_results(target, order):
    error = "fio: exit status 1: <img src=x onerror=alert(1)> & no space left on device"
    return [StepResult(step=step(target, stage="random-read", point="iodepth=64", order=order), status=Status.BROKEN,
                       started=WHEN, elapsed=3.0, error=error),
            StepResult(step=step(target, stage="noop", order=order + 1), status=Status.UNSUPPORTED, started=WHEN,
                       elapsed=0.0, error="the platform offers no host")]


def results(target, *, rounds, seed, nasty):
    rng = np.random.default_rng([seed, number_of(target)])
    speed, out = 1 + 0.4 * (number_of(target) % 4), []
    for turn in range(rounds):
        for point, centre in (("iodepth=1", 0.4e-3), ("iodepth=32", 3e-3)):
            where = step(target, stage="random-read", point=point, turn=turn, order=len(out))
            out.append(disk_result(rng, where, centre=centre * speed, clamp=nasty and point == "iodepth=32"))
        where = step(target, stage="wake-up", workload="scheduling", point="interval=1ms", turn=turn, order=len(out))
        out.append(wakeup_result(rng, where, centre=80e-6 * speed))
    return [*out, *broken_results(target, len(out))] if nasty else out


def run(target, facts, *, rounds=5, seed=1, nasty=False):
    made = results(target, rounds=rounds, seed=seed, nasty=nasty)
    scenario = Scenario(name="synthetic", title="Made up for tests", repetition=Repetition(rounds=rounds),
                        stage=(Stage(workload="disk", name="random-read"),))
    machine = {"cpu.model": "AMD EPYC 7763", "kernel": "6.1.0-18-amd64"}
    flags = " ".join(f"flag{n}" for n in range(40)) + (" avx512" if target == "target-1" else " sse4a")
    return Run(
        plan=Plan(campaign="c0ffee", scenario=scenario, target=target, seed=seed, steps=tuple(r.step for r in made)),
        facts={"target": dict(facts), "controller": machine | {"python": "3.11.7", "tool.fio": "3.33"},
               "host.0": machine | {"governor": "performance", "cpu.flags": flags},
               "guest": {"kernel": "6.1.0-18-amd64", "clocksource": "tsc" if target == "target-0" else "kvm-clock"}},
        created=WHEN, version="0.1.0", results=tuple(made))


def campaign(vendors=3, *, seed=1, rounds=5, nasty=False):
    """Return (runs, findings) of so many targets."""
    facts = NASTY if nasty else FACTS
    runs = [run(f"target-{index}", facts[index], rounds=rounds, seed=seed, nasty=nasty) for index in range(vendors)]
    return runs, findings(vendors, seed=seed, rounds=rounds, nasty=nasty)


@pytest.fixture(scope="session")
def made_up():
    """The builders above, for tests that want data of their own."""
    return SimpleNamespace(campaign=campaign, findings=findings, run=run, finding=finding, estimate=estimate, step=step,
                           fio_histogram=fio_histogram, rate=rate, specs=SPECS, facts=FACTS, number_of=number_of)


@pytest.fixture(scope="session")
def tidy():
    """Three well-behaved targets."""
    return campaign(3)


@pytest.fixture(scope="session")
def nasty():
    """Six targets with every trouble there is."""
    return campaign(6, nasty=True)
