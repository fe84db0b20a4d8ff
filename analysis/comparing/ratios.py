"""Each contender against the reference: ratios with intervals over the band of the noise floor, turned so that right
is better. One line a cell, composites of areas in bold above their cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.charts import WIDE, Chart, axis, slug, style
from analysis.comparing import tables
from analysis.rows import Party, clean, names
from analysis.words import Words
from harness.comparison import Against, Cell, Comparison, Contender, Entry, Group, How, Outcome
from harness.stats.records import Direction

LINE, FOOT, MOST = 0.235, 0.5, 40
NAMES, OUTCOMES = 3.9, 1.05
SIZE = style.SMALL + 0.5
TONES = {Outcome.BETTER: "#12633f", Outcome.WORSE: "#a3160c", Outcome.TIE: "#44546a", Outcome.UNDECIDED: "#7d5700"}
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0,
         10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
FEWEST = 0.32    # inches between two ticks
REACH = 0.3      # how far beyond the ratios ends of intervals are shown, as a power of what the ratios span


@dataclass(frozen=True)
class Mark:
    """One line of the chart: what it is, its ratio turned so that above 1 is better, and what is shown."""

    label: str
    name: str
    against: Against
    times: tuple[float, float, float]
    entry: Entry
    floor: float
    bold: bool = False


@dataclass(frozen=True)
class _Columns:
    """How wide labels and printed ratios are, and where the ratios stand, in inches."""

    labels: float
    numbers: float
    value: float

    @property
    def n(self) -> float:
        """Return the middle of the column of n."""
        return self.value + max(self.numbers, 0.9) + 0.15

    @property
    def outcome(self) -> float:
        """Return where the outcomes begin."""
        return self.n + 0.2


@dataclass(frozen=True)
class Sheet:
    """One picture."""

    group: Group
    who: Contender
    party: Party
    marks: tuple[Mark, ...]
    counted: str
    rest: int
    forced: bool


def charts(found: Comparison, words: Words) -> Iterator[Chart]:
    """Yield the charts of every contender that has a ratio to its reference."""
    used: dict[str, int] = {}
    for number, group in enumerate(found.groups):
        for index, who in enumerate(group.contenders):
            marks = tuple(_marks(group, who.name, words)) if who.name != group.reference else ()
            parts = [marks[at:at + MOST] for at in range(0, len(marks), MOST)]
            rest = sum(cell.how is not How.RATIO or _entry(cell, who.name).against is None for cell in group.cells)
            party = Party(target=who.name, index=index, label=clean(who.name), simulated=who.simulated)
            for at, part in enumerate(parts, 1):
                counted = f" ({at}/{len(parts)})" if len(parts) > 1 else ""
                sheet = Sheet(group, who, party, part, counted, rest, bool(found.forced))
                name = slug("ratios", who.name, str(at) if len(parts) > 1 else "")
                used[name] = count = used.get(name, 0) + 1
                yield Chart(kind=f"ratios-{number}", area="", slug=name if count == 1 else f"{name}-{count}",
                            title=_title(sheet, words), caption=_notes(sheet, words), draw=partial(_draw, sheet, words),
                            wide=words.lang == "zh" or bool(WIDE.search(who.name + group.reference)))


def _marks(group: Group, name: str, words: Words) -> Iterator[Mark]:
    cells = tables.ordered(group.cells)
    composites = {one.area: one for one in group.composites}
    for area in dict.fromkeys(cell.area for cell in cells):
        if area in composites:
            one = composites[area]
            entry = next(entry for entry in one.entries if entry.contender == name)
            if entry.against:
                label = words("ratios.composite", area=area, n=len(one.parts))
                yield Mark(label, "", entry.against, entry.against.advantage(Direction.HIGHER_IS_BETTER), entry,
                           one.floor, bold=True)
        for cell in cells:
            entry = _entry(cell, name)
            if cell.area == area and cell.how is How.RATIO and entry.against:
                known = names(cell.indicator)
                yield Mark(cell.label, words.pick(known.en, known.zh), entry.against,
                           entry.against.advantage(cell.direction), entry, cell.floor)


def _entry(cell: Cell, name: str) -> Entry:
    return next(entry for entry in cell.entries if entry.contender == name)


def _title(sheet: Sheet, words: Words) -> str:
    return words("ratios.title", name=sheet.who.name, reference=sheet.group.reference) + sheet.counted


def _notes(sheet: Sheet, words: Words) -> str:
    both = [who for who in sheet.group.contenders if who.name in (sheet.who.name, sheet.group.reference)]
    engines = " · ".join(f"{who.name}: {', '.join(who.accelerators) or '–'}" for who in both)
    return words("ratios.notes", accelerators=engines)


def _draw(sheet: Sheet, said: Words) -> Figure:
    words = style.spoken(said)
    notes, span = _notes(sheet, words), _span(sheet.marks)
    top, tall = style.headroom(notes) + 0.25, LINE * len(sheet.marks) + 0.08
    foot = [words("ratios.rest", n=sheet.rest)] if sheet.rest else []
    made = style.figure(top + tall + FOOT + 0.15 * len(foot) + 0.06)
    parties = [Party(target=who.name, index=0, label=who.name, simulated=who.simulated)
               for who in sheet.group.contenders if who.name in (sheet.who.name, sheet.group.reference)]
    flags = (words("compare.forced") if sheet.forced else "", style.flag(parties, words))
    style.head(made, _title(sheet, words), notes, flag=" · ".join(filter(None, flags)))
    labels = min(NAMES, max(style.width(f"{mark.label}  {mark.name}", SIZE) for mark in sheet.marks) + 0.1)
    numbers = max(style.width(tables.factors(*mark.times), SIZE, "bold") for mark in sheet.marks)
    columns = _Columns(labels, numbers, style.WIDTH - style.PAD - OUTCOMES - 0.25 - 0.2 - max(numbers, 0.9))
    left, right = style.PAD + labels + 0.1, columns.value - 0.15
    axes = style.panel(made, (left, top, right - left, tall))
    _axis(axes, span, tall, right - left, words("ratios.axis", reference=sheet.group.reference))
    table = style.panel(made, (0, top, style.WIDTH, tall))
    table.set(xlim=(0, style.WIDTH), ylim=(tall, 0))
    table.axis("off")
    _captions(table, columns, words)
    for index, mark in enumerate(sheet.marks):
        middle = LINE * (index + 0.5) + 0.04
        _texts(table, mark, middle, columns, words)
        _plot(axes, mark, middle, span, sheet.party)
    style.foot(made, top + tall + FOOT, foot)
    return made


def _span(marks: Sequence[Mark]) -> axis.Span:
    """Cover all ratios and 1; ends of intervals as far as they do not squeeze all else."""
    core = [mark.times[0] for mark in marks] + [1.0]
    ends = [end for mark in marks for end in mark.times[1:] if 0 < end < math.inf]
    reach = max((max(core) / min(core)) ** REACH, 1.1)
    low = max(min([*ends, *core]), min(core) / reach)
    high = min(max([*ends, *core]), max(core) * reach)
    floor = 1 + 2 * max(mark.floor for mark in marks)
    low, high = min(low, 1 / floor), max(high, floor)
    grow = (high / low) ** 0.04
    return axis.Span(low / grow, high * grow, log=True)


def _axis(axes: Axes, span: axis.Span, tall: float, wide: float, label: str) -> None:
    axes.set(ylim=(tall, 0), xscale="log", xlim=(span.low, span.high))
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    ticks: list[float] = [1.0]
    for tick in sorted((tick for tick in TICKS if span.holds(tick)), key=lambda tick: abs(math.log(tick))):
        if all(abs(span.share(tick) - span.share(other)) * wide >= FEWEST for other in ticks):
            ticks.append(tick)
    axes.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.grid(axis="x")
    axes.set_xlabel(style.fit(label, wide + 1.0), labelpad=3)
    axes.axvline(1.0, color=style.INK, linewidth=0.9, zorder=1.5)


def _captions(table: Axes, columns: _Columns, words: Words) -> None:
    looks: dict[str, Any] = {"size": style.SMALL, "color": style.SOFT, "va": "center"}
    table.text(columns.value, -0.1, words("ratios.value"), **looks)
    table.text(columns.n, -0.1, "n", ha="center", **looks)
    table.text(columns.outcome, -0.1, words("compare.outcome"), **looks)
    table.plot((style.PAD, style.WIDTH - style.PAD), (0.0, 0.0), color=style.FAINT, linewidth=0.6, clip_on=False)


def _texts(table: Axes, mark: Mark, middle: float, columns: _Columns, words: Words) -> None:
    weight = "bold" if mark.bold else "normal"
    label = style.fit(mark.label, columns.labels, SIZE, weight)
    table.text(style.PAD, middle, label, weight=weight, size=SIZE, va="center")
    after = style.width(label, SIZE, weight) + 0.1
    if mark.name and columns.labels - after > 0.5:
        table.text(style.PAD + after, middle, style.fit(mark.name, columns.labels - after, style.SMALL),
                   size=style.SMALL, va="center", color=style.SOFT)
    table.text(columns.value, middle, tables.factors(*mark.times), va="center", weight=weight, size=SIZE)
    table.text(columns.n, middle, str(mark.against.n), va="center", ha="center", size=SIZE)
    outcome = mark.entry.outcome
    text = " ".join(filter(None, (f"{tables.SIGNS[outcome]} {words(f'outcome.{outcome.name}')}", mark.entry.letters)))
    table.text(columns.outcome, middle, style.fit(text, OUTCOMES, SIZE), va="center", size=SIZE,
               color=TONES.get(outcome, style.SOFT))


def _plot(axes: Axes, mark: Mark, middle: float, span: axis.Span, party: Party) -> None:
    """Draw band of the floor, interval and ratio; hollow where nothing is shown, arrows where it leaves the axis."""
    if mark.floor:
        low, high = 1 / (1 + mark.floor), 1 + mark.floor
        axes.add_patch(Rectangle((low, middle - LINE / 2), high - low, LINE, facecolor="#e4e8ea", edgecolor="none",
                                 zorder=0.6))
    value, low, high = mark.times
    shade = TONES.get(mark.entry.outcome, style.SOFT)
    ends = [min(max(end, span.low), span.high) for end in (low, high)]
    axes.plot(ends, (middle, middle), color=shade, linewidth=2.2 if mark.bold else 1.5, zorder=3)
    for end, edge, tip in ((low, ends[0], "<"), (high, ends[1], ">")):
        inside = span.holds(end)
        axes.plot((edge,), (middle,), marker="|" if inside else tip, markersize=6 if inside else 5, color=shade,
                  zorder=3, markeredgewidth=1.3 if inside else 0.5, clip_on=False)
    shown = mark.entry.outcome in (Outcome.BETTER, Outcome.WORSE, Outcome.TIE)
    axes.plot((value,), (middle,), marker=style.marker(party), markersize=7 if mark.bold else 5.6, color=shade,
              zorder=4, markerfacecolor=shade if shown else style.PAPER, markeredgewidth=1.2)
