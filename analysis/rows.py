"""Runs and findings -> tidy frozen rows, the only input of charts and tables.

A party is a target as the reader knows it: vendor, product, version, accelerator. Labels of parties are unique and
free of control characters, so that whatever a tool printed can be drawn and written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.indicators import catalogue
from harness.model import Finding, Record, Run, Verdict
from harness.stats.records import Check, Direction, Estimate

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


class Name(NamedTuple):
    """What an indicator is called."""

    en: str
    zh: str


class Party(Record, frozen=True, kw_only=True):
    """A target as the reader knows it; `index` counts parties and chooses colour and marker."""

    target: str
    index: int
    label: str
    vendor: str = ""
    product: str = ""
    version: str = ""
    accelerator: str = ""
    simulated: bool = False


class Row(Record, frozen=True, kw_only=True):
    """One finding, flat; numbers in base units of `unit`, None where there is no estimate or no limit."""

    party: Party
    area: str
    indicator: str
    point: str
    paired: bool
    verdict: Verdict
    name_en: str = ""
    name_zh: str = ""
    unit: str = "1"
    direction: Direction = Direction.TARGET
    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    n: int = 0
    method: str = ""
    estimand: str = ""
    op: str = ""
    limit: float | None = None
    limit_hi: float | None = None
    source: str = ""
    scores: tuple[float, ...] = ()
    rounds: tuple[int, ...] = ()
    flagged: tuple[int, ...] = ()
    mde: float | None = None
    noise_floor: float | None = None
    needed: int | None = None
    second: Estimate | None = None
    gates: tuple[Check, ...] = ()
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    policy: str = ""

    @property
    def limits(self) -> tuple[float, ...]:
        """Return the limit, both of them for "between", or nothing."""
        return tuple(limit for limit in (self.limit, self.limit_hi) if limit is not None)

    @property
    def why(self) -> tuple[str, ...]:
        """Return reasons and warnings, each once."""
        return tuple(dict.fromkeys((*self.reasons, *self.warnings)))


class Material(Record, frozen=True, kw_only=True, dict=True):
    """All that a report is made of: parties in order, rows in order, runs, and the folder of each run if known."""

    parties: tuple[Party, ...]
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    folders: tuple[str, ...] = ()

    def party(self, target: str) -> Party:
        """Return the party of a target that has a run or a finding."""
        return next(party for party in self.parties if party.target == target)


def material(runs: Sequence[Run], findings: Iterable[Finding], folders: Sequence[Path] = ()) -> Material:
    """Gather runs and findings; parties keep the order of runs, rows that of area, indicator, point, party."""
    found = tuple(findings)
    everyone = parties(runs, (finding.target for finding in found))
    by_target = {party.target: party for party in everyone}
    compared = paired(runs) | {one.indicator for one in found
                               if one.estimate and one.estimate.method.startswith("overhead")}
    rows = sorted((_row(finding, by_target[finding.target], finding.indicator in compared) for finding in found),
                  key=lambda row: (area_rank(row.area), row.indicator, natural(row.point), row.party.index))
    return Material(parties=everyone, rows=tuple(rows), runs=tuple(runs), folders=tuple(map(str, folders)))


def parties(runs: Sequence[Run], others: Iterable[str] = ()) -> tuple[Party, ...]:
    """Return one party for every target; equal labels are told apart by the name of the target."""
    facts = {run.plan.target: run.facts.get("target", {}) for run in runs}
    names = tuple(dict.fromkeys((*facts, *others)))
    labels = [_label(facts.get(name, {})) or clean(name) for name in names]
    unique = [label if labels.count(label) == 1 else f"{label} · {clean(name)}"
              for name, label in zip(names, labels, strict=True)]
    return tuple(_party(name, index, unique[index], facts.get(name, {})) for index, name in enumerate(names))


def clean(text: object) -> str:
    """Return text on one line without control characters and lone surrogates."""
    return _CONTROL.sub(" ", str(text)).strip()


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """Return a sort key that puts depth=4 before depth=32."""
    parts = re.findall(r"\d+(?:\.\d+)?|[^\d]+", text)
    return tuple((0, float(part), "") if part[0].isdecimal() else (1, 0.0, part) for part in parts)


def names(indicator: str) -> Name:
    """Return the names of an indicator; one that the catalogue does not know is called by its id."""
    known = catalogue().get(indicator)
    return Name(known.name, known.name_zh) if known else Name("", "")


def paired(runs: Iterable[Run]) -> frozenset[str]:
    """Return the indicators that compare guest and host: those that take steps of both sides of `runs`."""
    hosts = {(step.workload, step.stage, step.point): step
             for run in runs for step in run.plan.steps if step.arm.get("where") == "host"}.values()
    return frozenset(known.id for known in catalogue().values()
                     if any(step.workload == known.workload and known.applies(step) for step in hosts))


AREAS = ("CPU", "MEM", "STO", "NET", "VML", "MIG", "HA", "QOS")


def area_rank(area: str) -> tuple[int, str]:
    """Return the sort key of an area: the catalogue's order, then the alphabet."""
    return (AREAS.index(area) if area in AREAS else len(AREAS), area)


def _label(facts: dict[str, str]) -> str:
    return clean(" ".join(filter(None, (facts.get(key, "").strip() for key in ("vendor", "product", "version")))))


def _party(target: str, index: int, label: str, facts: dict[str, str]) -> Party:
    known = {key: clean(facts.get(key, "")) for key in ("vendor", "product", "version", "accelerator")}
    return Party(target=target, index=index, label=label, simulated=facts.get("simulated", "") == "true", **known)


def _row(finding: Finding, party: Party, compares: bool) -> Row:
    name = names(finding.indicator)
    return Row(
        party=party, area=finding.indicator.partition("-")[0], indicator=finding.indicator, point=clean(finding.point),
        name_en=name.en, name_zh=name.zh, paired=compares, verdict=finding.verdict, scores=finding.scores,
        rounds=finding.rounds, gates=finding.gates, reasons=tuple(map(clean, finding.reasons)),
        needed=finding.decision.n_needed if finding.decision else None, **_estimated(finding), **_required(finding))


def _estimated(finding: Finding) -> dict[str, Any]:
    """Return the columns that stem from the estimate."""
    found = finding.estimate
    if found is None:
        return {}
    return {"unit": found.unit, "direction": found.direction, "value": found.estimate, "low": found.ci.lo,
            "high": found.ci.hi, "confidence": found.ci.confidence, "n": found.n, "method": clean(found.method),
            "estimand": clean(found.estimand), "flagged": found.flagged, "mde": found.mde80,
            "noise_floor": found.noise_floor, "checks": found.assumptions,
            "warnings": tuple(map(clean, found.warnings)), "policy": found.policy_hash,
            "second": found.sensitivity}


def _required(finding: Finding) -> dict[str, Any]:
    """Return the columns that stem from the requirement."""
    asked = finding.requirement or (finding.decision.requirement if finding.decision else None)
    if asked is None:
        return {}
    columns = {"op": asked.op, "limit": asked.limit, "limit_hi": asked.limit_hi, "source": clean(asked.source)}
    return columns if finding.estimate else columns | {"unit": asked.unit}
