"""Gates and histories as flat cases: what is claimed, how it ended, and the sentence that says why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from analysis.quantity import MINUS
from analysis.rows import clean, names
from harness.regression import Change, Gated, Outcome
from harness.regression.history import FEWEST, Histories, Series, Shift
from harness.stats.records import Scale
from harness.units import show

LARGE = 10.0    # shares from which on digits behind the point say nothing
SIMULATED = "SIMULATED: nothing here was measured"


class Level(StrEnum):
    """How a case ended: failed, could not be done, cannot be told, was not asked, or is fine."""

    FAILED = "failed"
    BROKEN = "broken"
    OPEN = "open"
    SKIPPED = "skipped"
    FINE = "fine"


LEVELS = {
    Outcome.WORSE: Level.FAILED, Outcome.MISSING: Level.BROKEN, Outcome.INVALID: Level.BROKEN,
    Outcome.UNDECIDED: Level.OPEN, Outcome.BETTER: Level.FINE, Outcome.SAME: Level.FINE, Outcome.NEW: Level.SKIPPED,
    Outcome.UNGATED: Level.SKIPPED,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One claim: `outcome` in the gate's own word, `text` one line, `facts` the numbers behind it by name."""

    indicator: str
    name: str
    point: str
    level: Level
    outcome: str
    text: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return what the case is called."""
        return " ".join(filter(None, (self.indicator, self.point)))


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """All cases of a gate or a history, what it is about, and what has to be said beside them."""

    title: str
    target: str
    summary: str
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    def count(self, level: Level) -> int:
        """Return how many cases ended so."""
        return sum(case.level is level for case in self.cases)


def of_gate(gated: Gated) -> Sheet:
    """Return the cases of a gate, in its order."""
    counts = ", ".join(f"{number} {outcome}" for outcome, number in gated.counts.items())
    rule = (f"worse needs an adjusted p of at most {100 * gated.fdr:g} % (Benjamini-Hochberg, {gated.tested} tests) "
            "and an estimate beyond the noise floor; intervals are 95 %; a round is one replicate")
    forced = (f"forced over a difference: {each.key}: {each.one or 'absent'}, in the baseline {each.other or 'absent'}"
              for each in gated.differences)
    notes = (*[SIMULATED] * gated.simulated, *forced, *gated.warnings, rule)
    return Sheet(title=f"virtmark gate: {gated.scenario} on {gated.target}", target=gated.target,
                 summary=counts, cases=tuple(map(_case, gated.changes)), notes=tuple(map(clean, notes)),
                 exit_code=gated.exit_code)


def of_history(histories: Histories) -> Sheet:
    """Return a case for every series of a history."""
    cases = tuple(_series(one) for one in histories.series)
    alarms = sum(case.level is Level.FAILED for case in cases)
    label = histories.label or "time"
    targets = ", ".join(dict.fromkeys(one.target for one in histories.series))
    rule = (f"change points at p <= {histories.alpha:g} (permutation test of the largest step); alarms only where the "
            f"new level holds to the last run, at a false discovery rate of {100 * histories.fdr:g} % over all series")
    notes = (*[SIMULATED] * histories.simulated, *histories.warnings, rule)
    return Sheet(title=f"virtmark gate --history: {targets} by {label}", target=targets,
                 summary=f"{histories.runs} runs, {len(cases)} series, {alarms} with an alarm", cases=cases,
                 notes=tuple(map(clean, notes)), exit_code=histories.exit_code)


def percent(share: float, *, sign: bool = True, digits: int = 2) -> str:
    """Return a share as people read it: +5.2 %; infinite ones as such."""
    if not math.isfinite(share):
        return ("+" if share > 0 else MINUS) * (sign or share < 0) + "∞"
    text = f"{100 * share:.{digits}f}" if abs(share) < LARGE else f"{100 * share:.3g}"
    text = text.removeprefix("-") if not float(text) else text
    return (("+" if sign and share > 0 and float(text) else "") + text.replace("-", MINUS)) + " %"


def change_text(change: Change) -> str:
    """Return how much worse or better, with interval, n and p, in one line."""
    its, loss = change.contrast, change.loss
    if its is None or loss is None:
        return "; ".join(change.reasons)
    unit = " points" if its.scale is Scale.LINEAR and its.bounded else ""
    size = f"loss {percent(loss[0])}{unit} [{percent(loss[1])} … {percent(loss[2])}]" if its.bounded else (
        "worse by rank" if its.loss > 0 else "better by rank" if its.loss < 0 else "no interval")
    parts = [size, f"n = {its.n[0]} and {its.n[1]} rounds{', paired' * its.paired}"]
    if change.p_adjusted is not None:
        parts.append(f"p = {change.p or 0:.2g}, adjusted {change.p_adjusted:.2g}")
    parts.append(f"floor {percent(change.floor, sign=False)} ({change.floor_source})")
    if change.limit:
        parts.append(f"limit {percent(change.limit, sign=False)}")
    return "; ".join((*parts, *_power(change), *change.reasons))


def _power(change: Change) -> Iterator[str]:
    """Yield what the gate could have caught, and how many rounds would tell."""
    if change.mde is not None and math.isfinite(change.mde) and change.outcome in (Outcome.UNDECIDED, Outcome.SAME):
        yield (f"catches {percent(change.mde, sign=False)} in 80 of 100 repetitions" if change.mde < LARGE else
               f"catches nothing below {100 * LARGE:.0f} %")
    if change.outcome is Outcome.UNDECIDED and change.more:
        yield f"{change.more} more round{'s' * (change.more > 1)} on each side would tell"


def _case(change: Change) -> Case:
    its, shown = change.contrast, {}
    if its is not None and change.run is not None and change.baseline is not None:
        middle, low, high = change.ratio or (math.nan,) * 3
        log = its.scale is Scale.LOG
        shown = {"run": show(change.run, change.unit), "baseline": show(change.baseline, change.unit)}
        shown["ratio" if log else "difference"] = f"{middle:.4g}"
        shown["interval"] = f"{low:.4g} … {high:.4g}"
        shown |= {"n": f"{its.n[0]} and {its.n[1]}", "better": change.direction.value, "method": its.method}
    if change.p_adjusted is not None:
        shown |= {"p": f"{change.p:.3g}", "p adjusted": f"{change.p_adjusted:.3g}"}
    shown |= {"floor": percent(change.floor, sign=False)} if change.contrast else {}
    return Case(indicator=clean(change.indicator), name=names(change.indicator).en, point=clean(change.point),
                level=LEVELS[change.outcome], outcome=str(change.outcome), text=clean(change_text(change)),
                facts={key: clean(text) for key, text in shown.items()})


def _series(series: Series) -> Case:
    alarms = [shift for shift in series.shifts if shift.alarm]
    level = Level.FAILED if alarms else Level.FINE if len(series.points) >= FEWEST else Level.OPEN
    outcome = "worse" if alarms else "too short" if level is Level.OPEN else "changed" if series.shifts else "steady"
    text = "; ".join(shift_text(series, shift) for shift in series.shifts) or (
        f"{len(series.points)} runs, no change of level" if level is Level.FINE else
        f"{len(series.points)} runs; at least {FEWEST} are needed")
    if series.skipped:
        text += f"; {len(series.skipped)} runs without a number that counts"
    return Case(indicator=clean(series.indicator), name=names(series.indicator).en, point=clean(series.point),
                level=level, outcome=outcome, text=clean(text),
                facts={"runs": str(len(series.points)), "floor": percent(series.floor, sign=False)})


def shift_text(series: Series, shift: Shift) -> str:
    """Return a change of level in one line: where, how large, since when, and what else changed there."""
    points = " points" if series.share else ""
    loss = shift.loss
    first = clean(series.points[shift.first].label)
    word, size = "worse" if shift.worse else "better", f"{percent(loss[0])}{points}"
    interval = f"[{percent(loss[1])} … {percent(loss[2])}]"
    text = f"{word} from {clean(shift.suspects[0])} to {first}: loss {size} {interval}, p = {shift.p:.2g}"
    text += f", n = {shift.contrast.n[1]} and {shift.contrast.n[0]} runs"
    text += ", holds to the last run" if shift.at_head else ", over since"
    if shift.also:
        text += f"; also changed: {_listed([each.key for each in shift.also])}"
    return text


def _listed(keys: Sequence[str], most: int = 4) -> str:
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(map(clean, keys[:most])) + rest


__all__ = ["LEVELS", "Case", "Level", "Sheet", "change_text", "of_gate", "of_history", "percent",
           "shift_text"]
