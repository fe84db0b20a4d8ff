"""What a comparison says: contenders, cells (an indicator at a point), composites of areas, and what stands apart.

Numbers are in base units. A ratio is contender / reference as measured; its `advantage` is turned so that above 1 is
better, whichever way the indicator counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.comparability import Difference
from harness.model import Verdict
from harness.stats.records import Direction, Estimate

Key = tuple[int, int]    # number of the run among all, and the round in it


class How(StrEnum):
    """How contenders are held against each other at a cell."""

    RATIO = "ratio"
    DIFFERENCE = "difference"
    SIDE = "side by side"


class Outcome(StrEnum):
    """What can be said of a contender against the reference; TIE is shown equal within the floor, UNDECIDED neither."""

    REFERENCE = "reference"
    BETTER = "better"
    WORSE = "worse"
    TIE = "tie"
    UNDECIDED = "undecided"
    NONE = "not compared"


@dataclass(frozen=True)
class Contender:
    """One side of a comparison: the runs (by number) whose rounds are its replicates, and what they say it is."""

    name: str
    runs: tuple[int, ...]
    targets: tuple[str, ...]
    products: tuple[str, ...]
    accelerators: tuple[str, ...]
    simulated: bool = False


@dataclass(frozen=True)
class Against:
    """A contender against the reference: ratio, or difference in the unit of the cell, with its two-sided interval.

    `mde` is what these rounds would show with 80 % power: a relative change of a ratio, else in the unit of the cell.
    `n` is the smaller number of rounds.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int
    method: str
    mde: float | None = None

    def advantage(self, direction: Direction) -> tuple[float, float, float]:
        """Return ratio and bounds with better above 1."""
        if direction is not Direction.LOWER_IS_BETTER:
            return self.value, self.low, self.high
        return 1 / self.value, 1 / self.high, 1 / self.low if self.low > 0 else math.inf


@dataclass(frozen=True)
class Entry:
    """One contender at one cell; `scores` are its valid rounds, `p` is Holm-adjusted over all pairs of the cell.

    `letters` and `ranks` are empty where it could not be ranked. `reasons` say what keeps it from being compared, or
    must be known of its number; `doubts` why nothing is claimed of a number that is valid.
    """

    contender: str
    verdict: Verdict
    estimate: Estimate | None = None
    scores: Mapping[Key, float] = field(default_factory=dict)
    against: Against | None = None
    p: float | None = None
    outcome: Outcome = Outcome.NONE
    letters: str = ""
    ranks: tuple[int, int] | None = None
    valid: bool = False
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """An indicator at a point, one entry a contender in their order; `reason` says why there is no ratio.

    `floor` is relative for ratios, in the unit of the cell for differences; `measured` where it is the testbed's own.
    """

    indicator: str
    point: str
    unit: str
    direction: Direction
    how: How
    entries: tuple[Entry, ...]
    floor: float = 0.0
    measured: bool = False
    reason: str = ""

    @property
    def area(self) -> str:
        """Return the first part of the indicator's id."""
        return self.indicator.partition("-")[0]

    @property
    def label(self) -> str:
        """Return indicator and point in one text."""
        return f"{self.indicator} {self.point}".strip()


@dataclass(frozen=True)
class Composite:
    """One number for an area: the geometric mean over its parts, better above 1; undefined where a part is missing.

    `parts` are labels of cells. `left_out` are those that no contender could measure.
    """

    area: str
    parts: tuple[str, ...]
    left_out: tuple[str, ...]
    entries: tuple[Entry, ...]
    floor: float
    method: str


@dataclass(frozen=True)
class Group:
    """Contenders that may be compared with each other, held against the first one named `reference`."""

    contenders: tuple[Contender, ...]
    reference: str
    cells: tuple[Cell, ...]
    composites: tuple[Composite, ...]
    warnings: tuple[str, ...] = ()
    noted: tuple[tuple[str, Difference], ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Apart:
    """A run that may not be compared with those of the reference, by what, and its own numbers."""

    run: int
    contender: Contender
    differences: tuple[Difference, ...]
    entries: tuple[tuple[str, str, Entry], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All of it; `forced` are the differences in spite of which --force compared, by run."""

    by: str
    groups: tuple[Group, ...]
    apart: tuple[Apart, ...]
    floor: float
    forced: tuple[Apart, ...] = ()
