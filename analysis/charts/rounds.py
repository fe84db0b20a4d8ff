"""Scores by round: whether the rounds drifted, and whether one of them stands apart.

Each score is drawn as its deviation from the estimate of its own target, so that targets of different speed can be
compared; a drift that all targets share points at the testbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import quantity
from analysis.charts import Absence, Chart, axis, slug, style
from analysis.rows import Material, Row, natural
from analysis.words import Words

ORDER = 12
FEWEST = 3
COLUMNS, TALL, CAPTION, LEFT, BETWEEN = 3, 1.3, 0.28, 0.72, 0.7
MOST = 12  # panels in one picture


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield the drift view of every indicator with at least three rounds."""
    for indicator, group in groupby(material.rows, key=lambda row: row.indicator):
        rows = tuple({(row.party.index, row.point): row for row in group}.values())  # one for several limits
        usable = tuple(row for row in rows if row.value is not None and len(row.scores) == len(row.rounds) >= FEWEST)
        title = _title(rows, words)
        if usable:
            yield from _charts(usable, words)
        elif any(row.value is not None for row in rows):
            yield Absence(kind="rounds", area=rows[0].area, indicator=indicator, title=title,
                          reason=words("rounds.few", n=max(len(row.scores) for row in rows), needed=FEWEST))


def _charts(rows: tuple[Row, ...], words: Words) -> Iterator[Chart]:
    points = sorted({row.point for row in rows}, key=natural)
    for start in range(0, len(points), MOST):
        part = tuple(row for row in rows if row.point in points[start:start + MOST])
        yield Chart(kind="rounds", area=rows[0].area, indicator=rows[0].indicator, title=_title(rows, words),
                    caption=_notes(part, words), draw=_drawer(part, words), slug=slug(rows[0].indicator, "rounds"))


def _title(rows: Sequence[Row], words: Words) -> str:
    return f"{words.indicator(rows[0])} · {words('rounds.title')}"


def _drawer(rows: tuple[Row, ...], words: Words) -> Callable[[], Figure]:
    def draw() -> Figure:
        return _draw(rows, style.spoken(words))

    return draw


def _notes(rows: Sequence[Row], words: Words) -> str:
    return words("rounds.notes" if _relative(rows) else "rounds.notes.absolute")


def _relative(rows: Sequence[Row]) -> bool:
    """Say whether deviations are shares of the estimate: not for shares themselves, nor for numbers around zero."""
    return rows[0].unit != "1" and all(row.value is not None and row.value > 0 for row in rows)


def _draw(rows: tuple[Row, ...], words: Words) -> Figure:
    notes, panels = _notes(rows, words), [tuple(group) for _, group in groupby(rows, key=lambda row: row.point)]
    entries = _entries(rows, words)
    columns = min(COLUMNS, len(panels))
    block = CAPTION + TALL + 0.5
    top = style.headroom(notes) + style.legend_height(entries)
    made = style.figure(top + block * -(-len(panels) // columns))
    style.head(made, _title(rows, words), notes, flag=style.flag((row.party for row in rows), words))
    style.legend(made, style.headroom(notes), entries)
    wide = (style.WIDTH - LEFT - 0.15 - (columns - 1) * BETWEEN) / columns
    span = _span(rows)
    for index, panel in enumerate(panels):
        left, upper = LEFT + (index % columns) * (wide + BETWEEN), top + block * (index // columns)
        style.write(made, left, upper + 0.16, style.fit(panel[0].point, wide), size=style.SMALL, weight="bold")
        axes = style.panel(made, (left, upper + CAPTION, wide, TALL))
        _panel(axes, panel, span, words)
    return made


def _entries(rows: Sequence[Row], words: Words) -> list[style.Entry]:
    parties = {row.party.index: row.party for row in rows}
    counts = {index: sorted({row.n for row in rows if row.party.index == index}) for index in parties}
    return [style.Entry(party, ", ".join(filter(None, (words("simulated") if party.simulated else party.accelerator,
                                                       f"n = {' / '.join(map(str, counts[index]))}"))), index)
            for index, party in sorted(parties.items())]


def _deviations(row: Row, relative: bool) -> list[float]:
    centre = row.value or 0.0
    return [score / centre - 1 if relative else score - centre for score in row.scores]


def _span(rows: Sequence[Row]) -> axis.Span:
    relative = _relative(rows)
    widest = max(abs(deviation) for row in rows for deviation in _deviations(row, relative)) or 0.01
    return axis.Span(-1.15 * widest, 1.15 * widest)


def _panel(axes: Axes, rows: Sequence[Row], span: axis.Span, words: Words) -> None:
    relative = _relative(rows)
    axes.axhline(0, color=style.SOFT, linewidth=0.7, zorder=1)
    for row in rows:
        look, found = style.look(row.party, row.party.index), _deviations(row, relative)
        axes.plot(row.rounds, found, color=look.colour, linestyle=look.dash, linewidth=0.9, marker=look.marker,
                  markersize=4, zorder=3)
        odd = [index for index in row.flagged if index < len(found)]
        axes.plot([row.rounds[index] for index in odd], [found[index] for index in odd], linestyle="none", marker="o",
                  markersize=10, markerfacecolor="none", markeredgecolor=style.ALARM, zorder=4)
    axis.upright(axes, span, "1" if relative else rows[0].unit, most=4)
    axes.yaxis.set_major_formatter(FuncFormatter(_signed("1" if relative else rows[0].unit, span)))
    last = max(max(row.rounds) for row in rows)
    axes.set_xlim(-0.4, last + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel(words("round"), labelpad=2)
    axes.grid(axis="y")


def _signed(unit: str, span: axis.Span) -> Callable[[float, object], str]:
    chosen = quantity.scale((span.low, span.high), unit)
    return lambda y, _: ("+" if y > 0 else "") + chosen.short(y)
