"""Scores by round, all indicators of an area together: whether rounds drifted, and whether one of them stands apart.

Each score is drawn as its deviation from the estimate of its own target, so that targets of different speed can be
compared; a drift that all targets or all indicators share points at the testbed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import quantity
from analysis.charts import Absence, Chart, axis, slug, style
from analysis.rows import Material, Row
from analysis.words import Words

ORDER = 12
FEWEST = 3
COLUMNS, TALL, CAPTION, LEFT, BETWEEN, BELOW = 3, 1.15, 0.28, 0.72, 0.7, 0.45
MOST = 15  # panels in one picture

Panel = tuple[Row, ...]


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield the drift view of every area, with a panel for each indicator and point of at least three rounds."""
    for area, group in groupby(material.rows, key=lambda row: row.area):
        rows = [row for row in group if row.value is not None and row.scores]
        panels = list(_panels(rows))
        parts = [tuple(panels[start:start + MOST]) for start in range(0, len(panels), MOST)]
        for number, part in enumerate(parts, 1):
            counted = f" ({number}/{len(parts)})" if len(parts) > 1 else ""
            yield Chart(kind="rounds", area=area, title=_title(area, counted, words), caption=words("rounds.notes"),
                        slug=slug(area, "rounds"), draw=partial(_draw, part, counted, words))
        if rows and not panels:
            few = words("rounds.few", n=max(len(row.scores) for row in rows), needed=FEWEST)
            yield Absence(kind="rounds", area=area, title=_title(area, "", words), reason=few)


def _title(area: str, counted: str, words: Words) -> str:
    return f"{' '.join(filter(None, (area, words.area(area))))} · {words('rounds.title')}{counted}"


def _panels(rows: Sequence[Row]) -> Iterator[Panel]:
    """Yield the rows of each indicator and point, each party once: several limits do not make more scores. Where an
    event never ended there is no deviation to be drawn."""
    for _, group in groupby(rows, key=lambda row: (row.indicator, row.point)):
        once = {row.party.index: row for row in group if len(row.scores) == len(row.rounds) >= FEWEST
                and all(map(math.isfinite, (row.value or 0.0, *row.scores)))}
        if once:
            yield tuple(once.values())


def _draw(panels: tuple[Panel, ...], counted: str, words: Words) -> Figure:
    words = style.spoken(words)
    notes, rows = words("rounds.notes"), [row for panel in panels for row in panel]
    entries = _entries(rows, words)
    columns = min(COLUMNS, len(panels))
    block = CAPTION + TALL + BELOW
    top = style.headroom(notes) + style.legend_height(entries)
    made = style.figure(top + block * -(-len(panels) // columns))
    style.head(made, _title(rows[0].area, counted, words), notes,
               flag=style.flag((row.party for row in rows), words))
    style.legend(made, style.headroom(notes), entries)
    wide = (style.WIDTH - LEFT - 0.15 - (columns - 1) * BETWEEN) / columns
    for index, panel in enumerate(panels):
        left, upper = LEFT + (index % columns) * (wide + BETWEEN), top + block * (index // columns)
        name = " · ".join(filter(None, (panel[0].indicator, panel[0].point)))
        write = partial(style.write, size=style.SMALL, weight="bold")
        write(made, left, upper + 0.16, style.fit(name, wide, style.SMALL, "bold"))
        _panel(style.panel(made, (left, upper + CAPTION, wide, TALL)), panel, words)
    return made


def _entries(rows: Sequence[Row], words: Words) -> list[style.Entry]:
    parties = {row.party.index: row.party for row in rows}
    counts = {index: sorted({row.n for row in rows if row.party.index == index}) for index in parties}
    return [style.Entry(party, ", ".join(filter(None, (words("simulated") if party.simulated else party.accelerator,
                                                       f"n = {' / '.join(map(str, counts[index]))}"))), index)
            for index, party in sorted(parties.items())]


def _relative(rows: Sequence[Row]) -> bool:
    """Say whether deviations are shares of the estimate: not for shares themselves, nor for numbers around zero."""
    return rows[0].unit != "1" and all(row.value is not None and row.value > 0 for row in rows)


def _deviations(row: Row, relative: bool) -> list[float]:
    centre = row.value or 0.0
    return [score / centre - 1 if relative else score - centre for score in row.scores]


def _panel(axes: Axes, rows: Panel, words: Words) -> None:
    relative = _relative(rows)
    axes.axhline(0, color=style.SOFT, linewidth=0.7, zorder=1)
    for row in rows:
        look, found = style.look(row.party, row.party.index), _deviations(row, relative)
        axes.plot(row.rounds, found, color=look.colour, linestyle=look.dash, linewidth=0.9, marker=look.marker,
                  markersize=4, zorder=3)
        odd = [index for index in row.flagged if index < len(found)]
        axes.plot([row.rounds[index] for index in odd], [found[index] for index in odd], linestyle="none", marker="o",
                  markersize=10, markerfacecolor="none", markeredgecolor=style.ALARM, zorder=4)
    _axes(axes, rows, relative)
    axes.set_xlabel(words("round"), labelpad=1)


def _axes(axes: Axes, rows: Panel, relative: bool) -> None:
    widest = max(abs(deviation) for row in rows for deviation in _deviations(row, relative)) or 0.01
    span, unit = axis.Span(-1.2 * widest, 1.2 * widest), "1" if relative else rows[0].unit
    chosen = quantity.scale((span.low, span.high), unit)
    axis.upright(axes, span, unit, most=4)
    axes.set_ylabel(chosen.name if relative else f"Δ {chosen.name}")
    axes.yaxis.set_major_formatter(FuncFormatter(_signed(chosen)))
    axes.set_xlim(-0.4, max(max(row.rounds) for row in rows) + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(axis="y")


def _signed(chosen: quantity.Scale) -> Callable[[float, object], str]:
    return lambda y, _: ("+" if y > 0 else "") + chosen.short(y)
