"""What the tables of a report say, as plain text in frozen records; the template only places it.

Numbers are printed by `analysis.quantity`; escaping is the template's job.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis import quantity
from analysis.charts import style
from analysis.episodes import Episode, Seen, episodes
from analysis.rows import Material, Party, Row, area_rank, clean
from analysis.words import Words
from harness.model import Run, Status, StepResult, Verdict
from harness.stats.records import Check


@dataclass(frozen=True)
class Badge:
    """A verdict by letter, word and class of its colour."""

    letter: str
    text: str
    kind: str
    rank: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One finding as text, with the numbers that the table is sorted by."""

    anchor: str
    badge: Badge
    area: str
    indicator: str
    name: str
    point: str
    party: Party
    value: str
    interval: str
    unit: str
    n: str
    limit: str
    source: str
    method: str
    why: tuple[str, ...]
    more: tuple[tuple[str, str], ...]
    order: int
    number: float | None


def badge(verdict: Verdict, words: Words) -> Badge:
    """Return how a verdict is shown."""
    kind = verdict.name.lower().replace("_", "-")
    return Badge(style.VERDICTS[verdict][0], words.verdict(verdict), kind, int(verdict))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of the whole: its worst part; NOT_RUN where there is no part."""
    return max(verdicts, default=Verdict.NOT_RUN)


def counts(verdicts: Iterable[Verdict], words: Words) -> list[tuple[Badge, int]]:
    """Return how often each verdict occurs, the worst first."""
    found = Counter(verdicts)
    return [(badge(verdict, words), found[verdict]) for verdict in sorted(found, reverse=True)]


def lines(rows: Sequence[Row], words: Words) -> list[Line]:
    """Return the findings table."""
    return [_line(row, index, words) for index, row in enumerate(rows)]


def matrix(material: Material, words: Words) -> list[tuple[str, list[list[tuple[Badge, int]]]]]:
    """Return for each area the counts of verdicts of each party, in their order."""
    areas = sorted({row.area for row in material.rows}, key=area_rank)
    return [(area, [counts((row.verdict for row in material.rows if row.area == area and row.party == party), words)
                    for party in material.parties]) for area in areas]


@dataclass(frozen=True)
class Gate:
    """How often one gate held, over all findings, and what it said where it did not hold or cautioned."""

    name: str
    held: int
    failed: int
    unjudged: int
    notes: tuple[tuple[str, int], ...]


def gates(rows: Sequence[Row]) -> list[Gate]:
    """Return one line per gate, those that failed first."""
    found: dict[str, list[Check]] = {}
    for row in rows:
        for check in row.gates:
            found.setdefault(check.name, []).append(check)
    made = [Gate(clean(name), sum(c.passed is True for c in checks), sum(c.passed is False for c in checks),
                 sum(c.passed is None for c in checks), _notes(checks)) for name, checks in found.items()]
    return sorted(made, key=lambda gate: (-gate.failed, gate.name))


@dataclass(frozen=True)
class Trouble:
    """Steps of one party that ended alike without a result."""

    party: Party
    stage: str
    point: str
    status: str
    count: int
    rounds: str
    error: str


def troubles(material: Material) -> list[Trouble]:
    """Return the steps that broke or were not supported, alike ones together."""
    found: dict[tuple[str, str, str, str, str], list[StepResult]] = {}
    for run in material.runs:
        for result in run.results:
            if result.status is not Status.DONE:
                key = (run.plan.target, result.step.stage, result.step.point, result.status.value, clean(result.error))
                found.setdefault(key, []).append(result)
    return [Trouble(material.party(target), stage, clean(point), status, len(steps),
                    ", ".join(str(turn) for turn in sorted({step.step.round for step in steps})), error)
            for (target, stage, point, status, error), steps in found.items()]


@dataclass(frozen=True)
class Happened:
    """One event as text: what was broken or moved, when the platform acted, the outage by each probe, what was lost."""

    area: str
    party: Party
    where: str
    kind: str
    which: str
    marks: tuple[str, ...]
    outages: tuple[tuple[str, str], ...]
    lost: str
    bad: bool


MARKS = ("detected", "restarted", "served")


def happened(material: Material, words: Words) -> list[Happened]:
    """Return one line per event of all runs, in order; times are s since it began."""
    return [_happened(episode, words) for episode in episodes(material)]


def _happened(episode: Episode, words: Words) -> Happened:
    marks = (episode.when(name) for name in MARKS)
    where = " · ".join(filter(None, (episode.stage, episode.point)))
    return Happened(
        "MIG" if episode.kind == "move" else "HA", episode.party, where, episode.kind,
        f"{episode.round}.{episode.number}",
        tuple("–" if at is None else quantity.single(at, "s", 3) for at in marks),
        tuple((words.probe(seen.probe), _outage(seen, words)) for seen in episode.seen),
        "–" if episode.lost is None else str(episode.lost), bool(episode.lost) or not episode.fine)


def _outage(seen: Seen, words: Words) -> str:
    if not math.isfinite(seen.value):
        return words("incidents.never")
    shown = quantity.together(seen.value, seen.low, seen.high, unit="s")
    return f"{shown.value} [{shown.interval}] {shown.unit}"


@dataclass(frozen=True)
class Campaign:
    """One run in a line: what was planned, what happened."""

    party: Party
    scenario: str
    title: str
    created: str
    version: str
    seed: int
    campaign: str
    planned: int
    done: int
    broken: int
    unsupported: int
    missing: int
    folder: str


def campaigns(material: Material, words: Words) -> list[Campaign]:
    """Return one line per run, in order."""
    folders = material.folders or ("",) * len(material.runs)
    return [_campaign(run, material.party(run.plan.target), folder, words)
            for run, folder in zip(material.runs, folders, strict=True)]


def _campaign(run: Run, party: Party, folder: str, words: Words) -> Campaign:
    ended = Counter(result.status for result in run.results)
    planned, scenario = len(run.plan.steps), run.plan.scenario
    title = words.pick(scenario.title, scenario.title_zh)
    return Campaign(party, clean(scenario.name), clean(title), clean(run.created),
                    clean(run.version), run.plan.seed, clean(run.plan.campaign), planned, ended[Status.DONE],
                    ended[Status.BROKEN], ended[Status.UNSUPPORTED], max(planned - len(run.results), 0), clean(folder))


def _line(row: Row, order: int, words: Words) -> Line:
    shown = None if row.value is None or row.low is None or row.high is None else quantity.together(
        row.value, row.low, row.high, unit=row.unit, limits=row.limits)
    return Line(
        anchor=f"f{order}", badge=badge(row.verdict, words), area=row.area, indicator=row.indicator, party=row.party,
        name=words.pick(row.name_en, row.name_zh), point=row.point, source=row.source, order=order, number=row.value,
        value=shown.value if shown else "–", interval=shown.interval if shown else "–", n=str(row.n) if shown else "–",
        unit=shown.unit if shown else "", limit=quantity.requirement(row.op, row.limits, row.unit) or "–",
        method=", ".join(filter(None, map(words.say, (row.estimand, row.method)))), why=row.why,
        more=tuple(_more(row, words)))


def _more(row: Row, words: Words) -> Iterable[tuple[str, str]]:
    """Yield what stands behind a number and is not needed at first sight."""
    if row.value is None:
        return
    yield words("more.level"), f"{100 * (row.confidence or 0):.4g} %"
    if row.second is not None:
        second = quantity.together(row.second.estimate, row.second.ci.lo, row.second.ci.hi, unit=row.unit,
                                   limits=row.limits)
        by = words.say(clean(row.second.method))
        yield words("more.second"), f"{by}: {second.value} [{second.interval}] {second.unit}"
    if row.mde is not None:
        yield words("more.mde"), f"{100 * row.mde:.2g} %"
    if row.needed is not None:
        yield words("more.needed"), str(row.needed)
    if row.noise_floor is not None:
        yield words("more.floor"), f"{100 * row.noise_floor:.2g} %"
    if row.flagged:
        yield words("more.flagged"), ", ".join(str(row.rounds[i]) for i in row.flagged if i < len(row.rounds))
    yield words("more.scores"), ", ".join(quantity.single(score, row.unit) for score in row.scores)
    yield from ((clean(check.name), _checked(check, words)) for check in row.checks)
    if row.policy:
        yield words("more.policy"), row.policy


def _checked(check: Check, words: Words) -> str:
    state = words({True: "held", False: "failed", None: "unjudged"}[check.passed])
    value = "" if check.value is None else f"{check.value:.4g}"
    limit = "" if check.limit is None else f" / {check.limit:.4g}"
    return " · ".join(filter(None, (state, value + limit if value else "", clean(check.note))))


def _notes(checks: Iterable[Check]) -> tuple[tuple[str, int], ...]:
    """Return the distinct notes of a gate with their counts, the most frequent first."""
    return tuple(Counter(clean(check.note) for check in checks if check.note).most_common())
