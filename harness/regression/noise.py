"""The noise floor of a testbed: what equal things differ by there, from A/A pairs in ABBA order, kept in a file.

The one thing to know: rounds 0 and 1 of a run are a pair, 2 and 3 the next; which of the two is called first alternates
(A B, B A, ...), so that a slow drift cancels. Everything of a pair is the same, so whatever differs is noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from harness import codec, comparability, stats, verdict
from harness.errors import InputError
from harness.model import Finding, Record, Run
from harness.regression.contrast import effect, is_share, relative, scale_of
from harness.stats.records import Scale, Verdict

FILE = "noise.json"
FEWEST = 3          # pairs, below which a floor would be anything
OLD = 31.0          # days after which a floor should be measured anew


class PointNoise(Record, frozen=True, kw_only=True):
    """The noise of an indicator at a point: `floor` and `cv` are shares of the value, or differences of shares.

    `cv` is that of one round, with its 95 % interval; `ratio` that of the two halves of the pairs, which should hold 1
    (for shares, whose `scale` is linear: exp of their difference). `between` is the largest difference of whole runs.
    """

    floor: float
    n: int
    scale: Scale
    cv: float
    cv_ci: tuple[float, float]
    ratio: float
    ratio_ci: tuple[float, float]
    between: float = 0.0
    warnings: tuple[str, ...] = ()


class IndicatorNoise(Record, frozen=True, kw_only=True):
    """The noise of an indicator: the largest floor of its points, the fewest pairs, and each point."""

    floor: float
    n: int
    points: dict[str, PointNoise]


class Source(Record, frozen=True, kw_only=True):
    """One run that a noise floor was made of."""

    folder: str
    created: str
    campaign: str


class Noise(Record, frozen=True, kw_only=True):
    """The noise floors of a testbed, with what they were made of and the facts they hold for."""

    target: str
    scenario: str
    created: str
    version: str
    pairs: int
    indicators: dict[str, IndicatorNoise]
    runs: tuple[Source, ...]
    facts: dict[str, dict[str, str]]
    left_out: dict[str, str] = {}
    simulated: bool = False
    order: str = "ABBA"
    policy: str = ""

    def floor(self, indicator: str, point: str) -> float | None:
        """Return the floor at a point, else that of the indicator at all points, else None."""
        known = self.indicators.get(indicator)
        if known is None:
            return None
        return known.points[point].floor if point in known.points else known.floor


def measured(runs: Mapping[str, Run]) -> Noise:
    """Return the noise floors that `runs`, by folder, show; InputError if they are not runs of one thing, or too few.

    Findings that do not count (INVALID, ...) are left out, and told in `left_out`.
    """
    everyone = list(runs.values())
    first = everyone[0]
    for folder, run in runs.items():
        if apart := comparability.differences(first, run, same_product=True):
            raise InputError(f"{folder}: {apart[0].key} is {apart[0].other!r}, not {apart[0].one!r} as in the first "
                             "run; A/A pairs are of one scenario on one target")
    found = [{(one.indicator, one.point): one for one in verdict.judge([run])} for run in everyone]
    points: dict[str, dict[str, PointNoise]] = {}
    left: dict[str, str] = {}
    for key in dict.fromkeys(key for findings in found for key in findings):
        own = [findings[key] for findings in found if key in findings]
        noise = _point(own)
        if isinstance(noise, str):
            left["@".join(key)] = noise
        else:
            points.setdefault(key[0], {})[key[1]] = noise
    if not points:
        raise InputError(f"{next(iter(runs))}: no indicator has {FEWEST} A/A pairs; at least {2 * FEWEST} rounds are "
                         "needed, 20 are wanted")
    indicators = {name: IndicatorNoise(floor=max(one.floor for one in its.values()), points=its,
                                       n=min(one.n for one in its.values())) for name, its in points.items()}
    target = first.facts.get("target", {})
    return Noise(target=first.plan.target, scenario=first.plan.scenario.name, version=first.version,
                 created=max(run.created for run in everyone), pairs=min(one.n for one in indicators.values()),
                 indicators=indicators, facts=first.facts, left_out=left, policy=stats.DEFAULT_POLICY.hash,
                 simulated=target.get("simulated") == "true",
                 runs=tuple(Source(folder=folder, created=run.created, campaign=run.plan.campaign)
                            for folder, run in runs.items()))


def pairs(rounds: Sequence[int], scores: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield (first arm, second arm) of each whole pair of rounds; a pair of which a round is missing is left out."""
    known = dict(zip(rounds, scores, strict=True))
    turns = range(max(rounds, default=-1) // 2 + 1)
    order = stats.order_abba(len(turns))
    for turn in turns:
        two = known.get(2 * turn), known.get(2 * turn + 1)
        if two[0] is not None and two[1] is not None:
            yield (two[0], two[1]) if order[2 * turn] == "A" else (two[1], two[0])


def doubts(noise: Noise, run: Run) -> tuple[str, ...]:
    """Return why a noise floor may not hold for `run`: another target, other machines, too old."""
    said = []
    if noise.target != run.plan.target:
        said.append(f"the noise file is of target {noise.target!r}, not {run.plan.target!r}")
    measured_on = msgspec.structs.replace(run, facts=noise.facts)
    said += [f"the noise file was measured with {each.key} {each.one!r}, not {each.other!r}"
             for each in comparability.differences(measured_on, run)][:3]
    days = (datetime.fromisoformat(run.created) - datetime.fromisoformat(noise.created)).total_seconds() / 86400
    if days > OLD:
        said.append(f"the noise file is {days:.0f} days older than the run; measure it monthly")
    return tuple(said)


def load(path: Path) -> Noise:
    """Return the noise floors in a file; InputError names what is wrong."""
    try:
        return codec.decode(Noise, path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; make it with virtmark noise") from None


def beside(folders: Iterable[Path]) -> Path | None:
    """Return the noise file of the first testbed that has one: results/<target>/noise.json beside its run folders."""
    return next((path for folder in folders if (path := folder.resolve().parent / FILE).is_file()), None)


def text(noise: Noise) -> bytes:
    """Return the file."""
    return msgspec.json.format(msgspec.json.encode(codec.plain(noise)), indent=1) + b"\n"


def _point(findings: Sequence[Finding]) -> PointNoise | str:
    """Return the noise of an indicator at a point over several runs, or why there is none."""
    good = [one for one in findings if one.verdict is Verdict.MEASURED and one.estimate]
    if not good:
        return "; ".join(dict.fromkeys(findings[0].reasons)) or findings[0].verdict.name
    both = [pair for one in good for pair in pairs(one.rounds, one.scores)]
    if len(both) < FEWEST:
        return f"{len(both)} whole pairs; at least {FEWEST} are needed"
    scores = np.array(both)
    scale = scale_of((scores,), share=any(is_share(one.estimate) for one in good if one.estimate))
    if scale is None:
        return "zero, or an event that never ended: no ratio has a meaning"
    if not np.ptp(scores):
        return "every score is the same number: no noise was seen, so none can be stated"
    # On exp, ratios are differences: one calculation for both scales.
    found = stats.noise_floor(np.exp(scores - scores.mean()) if scale is Scale.LINEAR else scores)
    between = _between(good, scale)
    floor = effect(found.floor, Scale.LOG)
    said = found.warnings
    if between > floor:
        said = (*said, f"runs: whole runs differ by {relative(between, scale):.2%}, more than the pairs inside them")
    return PointNoise(floor=relative(max(floor, between), scale), n=found.pairs, scale=scale, cv=found.cv,
                      cv_ci=(found.cv_ci.lo, found.cv_ci.hi), ratio=found.ratio.estimate,
                      ratio_ci=(found.ratio.ci.lo, found.ratio.ci.hi), between=relative(between, scale),
                      warnings=tuple(said))


def _between(findings: Sequence[Finding], scale: Scale) -> float:
    """Return the largest effect between two whole runs: what rounds side by side cannot show."""
    middles = [float(np.mean(np.log(one.scores) if scale is Scale.LOG else one.scores)) for one in findings]
    return max((abs(a - b) for a, b in itertools.combinations(middles, 2)), default=0.0)


__all__ = ["FILE", "IndicatorNoise", "Noise", "PointNoise", "Source", "beside", "doubts", "load", "measured", "pairs",
           "text"]
