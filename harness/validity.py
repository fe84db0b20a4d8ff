"""Gates: was the step measured under conditions in which its numbers mean what they say?

A gate is about the harness disturbing the measurement, or the machine being disturbed from outside. A workload that
keeps all CPUs busy is what was asked for and fails nothing. Limits come in pairs: above `warn` a number carries a
caution (the check passes, its note begins with "caution"), above `invalid` the check fails and the finding is
INVALID. What was not observed is not judged (`passed` is None), never assumed good.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from harness.model import Facts, Record, Series, Status, StepResult
from harness.stats.records import Check
from harness.units import Bytes, Seconds, Share, show

CAUTION = "caution: "
LONGER = "clock_step_invalid"  # the limit that grows with the step
LONG_ENOUGH = 1.0  # s; the sampler's cost and the load of a shorter step are mostly the cost of looking


class GateLimits(Record, frozen=True, kw_only=True):
    """The limits of all gates: the table [gates] of a profile. Shares are of elapsed or CPU time, or of one core."""

    controller_cpu_warn: Share = Share(0.1)
    controller_cpu_invalid: Share = Share(0.2)
    controller_lag_warn: Seconds = Seconds(0.05)
    steal_warn: Share = Share(0.01)
    steal_invalid: Share = Share(0.05)
    throttled_warn: Share = Share(0.01)
    throttled_invalid: Share = Share(0.05)
    clock_step_invalid: Seconds = Seconds(0.01)
    clock_step_share: Share = Share(1e-4)
    clock_slew_warn: Share = Share(5e-4)
    clock_slew_invalid: Share = Share(5e-3)
    swap_warn: Bytes = Bytes(2**20)
    swap_invalid: Bytes = Bytes(256 * 2**20)
    frequency_drop_warn: Share = Share(0.1)
    load_before_warn: Share = Share(1.0)
    telemetry_cost_warn: Share = Share(0.01)
    guest_telemetry_cost_warn: Share = Share(0.1)
    telemetry_missed_warn: Share = Share(0.2)
    rounds_spread_warn: Share = Share(0.2)


@dataclass(frozen=True)
class Gate:
    """One gate: what is compared, with which limits (names of fields of `GateLimits`, or a number), what it means."""

    name: str
    value: Callable[[StepResult], float | None]
    warn: str | float | None
    invalid: str | None
    unit: str
    meaning: str


def seen(condition: str) -> Callable[[StepResult], float | None]:
    """Return how to look up a condition of a step."""
    return lambda result: result.conditions.get(condition)


def load_before(result: StepResult) -> float | None:
    """Return how busy the machine was before the step, as tasks per CPU.

    The load average remembers the previous step for a minute, and the tasks that can run are a snapshot: only where
    both are high is somebody else at work.
    """
    load, running = result.conditions.get("load.before"), result.conditions.get("running.before")
    cpus = result.conditions.get("host.cpus") or result.conditions.get("controller.cpus")
    return None if load is None or running is None or not cpus else min(load, running) / cpus


def frequency_drop(result: StepResult) -> float | None:
    """Return by how much the CPU frequency fell below its highest while the host was busy; idle CPUs may slow down."""
    metrics = {s.metric: s for s in result.telemetry if s.labels.get("source") == "host"}
    if not {"cpu.frequency", "cpu.busy"} <= metrics.keys():
        return None
    busy = dict(zip(metrics["cpu.busy"].times, metrics["cpu.busy"].values, strict=True))
    frequency = metrics["cpu.frequency"]
    loaded = [f for t, f in zip(frequency.times, frequency.values, strict=True) if busy.get(t, 0.0) >= 0.5]
    return 1 - min(loaded) / max(loaded) if loaded else None


def size(condition: str) -> Callable[[StepResult], float | None]:
    """Return how to look up a condition that counts alike in both directions."""
    return lambda result: abs(value) if (value := result.conditions.get(condition)) is not None else None


def swapped(result: StepResult) -> float | None:
    """Return bytes swapped in or out."""
    moved = [result.conditions[key] for key in ("host.swapped.in", "host.swapped.out") if key in result.conditions]
    return sum(moved) if moved else None


def cost(result: StepResult) -> float | None:
    """Return the sampler's share of a core in a step that was long enough to tell."""
    return result.conditions.get("telemetry.cost") if result.elapsed >= LONG_ENOUGH else None


GATES = (
    Gate("controller.cpu", seen("controller.cpu"), "controller_cpu_warn", "controller_cpu_invalid", "1",
         "virtmark itself used {value} of a core during the step, and may have disturbed what it measured"),
    Gate("controller.lag", seen("controller.lag"), "controller_lag_warn", None, "s",
         "virtmark woke up {value} late in one of twenty cases; times taken by its probes are as uncertain"),
    Gate("host.steal", seen("host.steal"), "steal_warn", "steal_invalid", "1",
         "the physical machine gave {value} of the host's CPU time to others"),
    Gate("controller.steal", seen("controller.steal"), "steal_invalid", None, "1",
         "the physical machine gave {value} of the controller's CPU time to others; times taken by probes suffer"),
    Gate("host.throttled", seen("host.throttled"), "throttled_warn", "throttled_invalid", "1",
         "a CPU quota on virtmark's own control group held it, and what it started, back for {value} of the time"),
    Gate("clock.step", size("clock.step"), None, "clock_step_invalid", "s",
         "the wall clock was set by {value} during the step; times that cross it are wrong"),
    Gate("clock.slew", size("clock.slew"), "clock_slew_warn", "clock_slew_invalid", "1",
         "the clock was being adjusted and ran off by {value}; so are all times and rates"),
    Gate("host.swap", swapped, "swap_warn", "swap_invalid", "B",
         "the host moved {value} between memory and swap; that work took the place of what was measured"),
    Gate("host.oom", seen("host.oom"), 0.0, None, "",
         "the kernel killed {value} process(es) for lack of memory during the step"),
    Gate("host.thermal", seen("host.thermal"), 0.0, None, "",
         "CPU cores were slowed down because of heat, {value} times"),
    Gate("host.frequency", frequency_drop, "frequency_drop_warn", None, "1",
         "under load the CPU frequency fell by {value} below its highest in the same step"),
    Gate("load.before", load_before, "load_before_warn", None, "1",
         "before the step began, other work already asked for {value} of the CPUs"),
    Gate("telemetry.cost", cost, "telemetry_cost_warn", None, "1",
         "watching the step took {value} of a core"),
    Gate("guest.telemetry.cost", seen("guest.telemetry.cost"), "guest_telemetry_cost_warn", None, "1",
         "watching the guest from inside took {value} of one of its CPUs"),
    Gate("telemetry.missed", seen("telemetry.missed"), "telemetry_missed_warn", None, "1",
         "{value} of the telemetry samples were missed; the machine was too busy for the other gates to be exact"),
)


def gates(result: StepResult, limits: GateLimits | None = None) -> tuple[Check, ...]:
    """Judge one step by the conditions it was taken under; a check for every gate, in the order of `GATES`."""
    limits = limits or GateLimits()
    return tuple(unseen if (value := gate.value(result)) is None and unseen else
                 judge(gate, value, bounds or _bounds(gate, limits, result.elapsed))
                 for gate, bounds, unseen in _table(limits))


def judge(gate: Gate, value: float | None, bounds: tuple[float | None, float | None]) -> Check:
    """Compare a value with (warn, invalid); at the limit still passes."""
    warn, invalid = bounds
    if value is None:
        return Check(gate.name, None, None, invalid if invalid is not None else warn, "not judged: not observed")
    if invalid is not None and value > invalid:
        return Check(gate.name, False, value, invalid, _say(gate, value, invalid))
    if warn is not None and value > warn:
        return Check(gate.name, True, value, warn, CAUTION + _say(gate, value, warn))
    return Check(gate.name, True, value, invalid if invalid is not None else warn)


def campaign_gates(
    results: Sequence[StepResult], limits: GateLimits | None = None, *, facts: Mapping[str, Facts] | None = None
) -> tuple[Check, ...]:
    """Judge all rounds and arms of one point together.

    rounds.spread: the largest coefficient of variation over rounds of any metric within one arm; a caution.
    tools.same: whether the tools that the steps called have one version on all machines that took part, by `facts`
    (`Run.facts`); fails where arms on guest and host are compared, else a caution.
    """
    limits = limits or GateLimits()
    done = [result for result in results if result.status is Status.DONE and not result.step.warmup]
    return _spread(done, float(limits.rounds_spread_warn)), _same_tools(done, facts or {})


def _spread(results: Sequence[StepResult], limit: float) -> Check:
    rounds: dict[tuple[str, ...], list[float]] = {}
    for result in results:
        for series in result.series:
            if series.values and (score := _mean(series)):
                rounds.setdefault((series.metric, *_labels(result, series)), []).append(score)
    found = {key: statistics.stdev(scores) / abs(statistics.fmean(scores))
             for key, scores in rounds.items() if len(scores) > 2 and statistics.fmean(scores)}
    if not found:
        return Check("rounds.spread", None, None, limit, "not judged: fewer than three rounds")
    worst = max(found, key=lambda key: found[key])
    note = (f"{CAUTION}{' '.join(worst)} varied by {show(found[worst], '1', 3)} from round to round "
            f"(standard deviation over mean, limit {show(limit, '1', 3)})")
    return Check("rounds.spread", True, found[worst], limit, note if found[worst] > limit else "")


def _labels(result: StepResult, series: Series) -> list[str]:
    named = {**{key: str(value) for key, value in result.step.arm.items()}, **series.labels}
    return [f"{key}={value}" for key, value in sorted(named.items())]


def _mean(series: Series) -> float:
    weights = series.weights or (1.0,) * len(series.values)
    total = sum(weights)
    return sum(v * w for v, w in zip(series.values, weights, strict=True)) / total if total else 0.0


def _same_tools(results: Sequence[StepResult], facts: Mapping[str, Facts]) -> Check:
    called = sorted({PurePosixPath(kept.argv[0]).name for result in results for kept in result.evidence if kept.argv})
    paired = len({result.step.arm.get("where") for result in results}) > 1
    machines = {name: known for name, known in facts.items()
                if name.split(".")[0] in (("guest", "host") if paired else ("guest", "host", "client"))}
    known = [(tool, {name: facts[f"tool.{tool}"] for name, facts in machines.items() if f"tool.{tool}" in facts})
             for tool in called]
    if not any(len(versions) > 1 for _, versions in known):
        return Check("tools.same", None, None, None, "not judged: no tool was seen on two machines")
    odd = [f"{tool} ({', '.join(f'{name}: {version}' for name, version in versions.items())})"
           for tool, versions in known if len(set(versions.values())) > 1]
    if not odd:
        return Check("tools.same", True, 0.0, 0.0)
    note = f"tools differ between the machines that took part: {'; '.join(odd)}"
    return Check("tools.same", not paired, float(len(odd)), 0.0, note if paired else CAUTION + note)


def failures(checks: Iterable[Check]) -> tuple[str, ...]:
    """Return why a number is INVALID: the notes of the checks that failed."""
    return tuple(check.note for check in checks if check.passed is False)


def cautions(checks: Iterable[Check]) -> tuple[str, ...]:
    """Return what a reader of the number must know though it is valid."""
    notes = (check.note for check in checks if check.passed)
    return tuple(note.removeprefix(CAUTION) for note in notes if note.startswith(CAUTION))


@lru_cache(maxsize=16)
def _table(limits: GateLimits) -> tuple[tuple[Gate, tuple[float | None, float | None] | None, Check | None], ...]:
    """Return each gate, its (warn, invalid) and its check where nothing was seen; None where the step decides."""
    return tuple((gate, None, None) if gate.invalid == LONGER else (
        gate, bounds := _bounds(gate, limits, 0.0), judge(gate, None, bounds)) for gate in GATES)


def _bounds(gate: Gate, limits: GateLimits, elapsed: float) -> tuple[float | None, float | None]:
    warn, invalid = (_limit(limits, bound) for bound in (gate.warn, gate.invalid))
    if gate.invalid == LONGER and invalid is not None:
        invalid = max(invalid, limits.clock_step_share * elapsed)
    return warn, invalid


def _limit(limits: GateLimits, bound: str | float | None) -> float | None:
    return float(getattr(limits, bound)) if isinstance(bound, str) else bound


def _say(gate: Gate, value: float, limit: float) -> str:
    text = gate.meaning.format(value=_show(value, gate.unit))
    return f"{text} (limit {_show(limit, gate.unit)})"


def _show(value: float, unit: str) -> str:
    return show(value, unit) if unit else f"{value:g}"
