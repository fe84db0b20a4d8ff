"""Facts of all machines side by side, so that a reader sees at once in what the runs differed.

A value that all runs share is said once. Where long lists differ (CPU flags), only what is not common to all is shown.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.rows import Material, Party, clean, natural
from harness.model import Run

LIST = 12  # words from which on a value is treated as a list


@dataclass(frozen=True)
class Fact:
    """One fact: a value for each run ("" where unknown), and whether what is known differs."""

    name: str
    values: tuple[str, ...]
    differs: bool
    shared: int = 0


@dataclass(frozen=True)
class Machine:
    """One machine (target, controller, host.0, guest, ...) in the runs that have it, given by their numbers.

    `facts` are those that differ or that some run lacks, `same` those that all share.
    """

    name: str
    runs: tuple[int, ...]
    facts: tuple[Fact, ...]
    same: tuple[tuple[str, str], ...]

    @property
    def differing(self) -> int:
        """Return how many facts differ between the runs."""
        return sum(fact.differs for fact in self.facts)


@dataclass(frozen=True)
class Condition:
    """A number taken around every step: median and largest of each run, None where it was not taken."""

    name: str
    values: tuple[tuple[float, float] | None, ...]


def columns(material: Material) -> list[tuple[Party, str]]:
    """Return the heading of each run: its party, and its date where a party ran more than once."""
    targets = [run.plan.target for run in material.runs]
    return [(material.party(run.plan.target), clean(run.created) if targets.count(run.plan.target) > 1 else "")
            for run in material.runs]


def machines(runs: Sequence[Run]) -> list[Machine]:
    """Return all machines: the target first, then the others by name."""
    names = sorted({name for run in runs for name in run.facts}, key=lambda name: (name != "target", natural(name)))
    return [_machine(name, runs) for name in names]


def conditions(runs: Sequence[Run]) -> list[Condition]:
    """Return the conditions of all steps by name."""
    names = sorted({name for run in runs for result in run.results for name in result.conditions})
    return [Condition(clean(name), tuple(_summary(run, name) for run in runs)) for name in names]


def _machine(name: str, runs: Sequence[Run]) -> Machine:
    having = tuple(number for number, run in enumerate(runs) if name in run.facts)
    known = [runs[number].facts[name] for number in having]
    keys = sorted({key for facts in known for key in facts}, key=natural)
    facts = [_fact(key, [clean(facts.get(key, "")) for facts in known]) for key in keys]
    same = [fact for fact in facts if len(set(fact.values)) == 1 and not fact.shared]
    other = sorted((fact for fact in facts if fact not in same), key=lambda fact: not fact.differs)
    return Machine(clean(name), having, tuple(other),
                   tuple((fact.name, fact.values[0]) for fact in same))


def _fact(key: str, values: list[str]) -> Fact:
    differs = len({value for value in values if value}) > 1
    lists = [value.replace(",", " ").split() for value in values]
    if not differs or not all(len(words) >= LIST for words in lists):
        return Fact(clean(key), tuple(values), differs)
    common = set.intersection(*map(set, lists))
    only = tuple(" ".join(word for word in words if word not in common) for words in lists)
    return Fact(clean(key), only, True, len(common))


def _summary(run: Run, name: str) -> tuple[float, float] | None:
    found = [result.conditions[name] for result in run.results if name in result.conditions]
    return (statistics.median(found), max(found)) if found else None
