"""The dot-and-interval plot that two chart kinds share: a table whose middle column is drawn to scale.

One line per target under each point: name and accelerator, estimate with interval over the faint scores of single
rounds, printed value, n and verdict. What would miss the limit is hatched, line by line, since limits may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis import quantity
from analysis.charts import axis, style
from analysis.rows import Row
from analysis.words import Words
from harness.model import Verdict

LINE, TALL, HEADING, FOOT = 0.265, 0.40, 0.235, 0.46
NAMES, ENGINES = 2.5, 0.95


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What to draw: rows of one indicator, grouped by point, and the words around them; `zero` labels the line at 0."""

    title: str
    notes: str
    rows: tuple[Row, ...]
    words: Words
    zero: str = ""


@dataclass(frozen=True)
class _Line:
    """One row, or the heading of a point's rows, `top` inches below the axes' top and `high` inches high."""

    top: float
    high: float
    rows: tuple[Row, ...]
    names: tuple[str, ...] = ()

    @property
    def middle(self) -> float:
        return self.top + self.high / 2


@dataclass(frozen=True)
class _Columns:
    """Where the columns stand, in inches from the left: left edges, but `n` and `badge` are centres."""

    engine: float
    plot: float
    wide: float
    value: float
    n: float
    badge: float


@dataclass(frozen=True)
class _Stage:
    """What every line is drawn on."""

    table: Axes
    axes: Axes
    columns: _Columns
    span: axis.Span
    words: Words


def draw(sheet: Sheet) -> Figure:
    """Draw the sheet; its height follows from the number of lines."""
    lines = list(_lines(sheet.rows))
    tall = lines[-1].top + lines[-1].high
    sources = _sources(sheet)
    top = style.headroom(sheet.notes) + 0.22
    made = style.figure(top + tall + FOOT + 0.15 * len(sources) + 0.06)
    style.head(made, sheet.title, sheet.notes, flag=style.flag((row.party for row in sheet.rows), sheet.words))
    stage = _stage(made, sheet, top, tall)
    for line in lines:
        _line(stage, line)
    if sheet.zero:
        stage.axes.axvline(0, color=style.INK, linewidth=0.9, zorder=1.5)
    style.foot(made, top + tall + FOOT, sources)
    return made


def _stage(made: Figure, sheet: Sheet, top: float, tall: float) -> _Stage:
    columns = _columns(sheet.rows, sheet.words)
    span = _span(sheet)
    axes = style.panel(made, (columns.plot, top, columns.wide, tall))
    axes.set_ylim(tall, 0)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    axis.across(axes, span, sheet.rows[0].unit, sheet.zero)
    table = style.panel(made, (0, top, style.WIDTH, tall))
    table.set(xlim=(0, style.WIDTH), ylim=(tall, 0))
    table.axis("off")
    _captions(table, columns, sheet)
    return _Stage(table, axes, columns, span, sheet.words)


def _lines(rows: Sequence[Row]) -> Iterator[_Line]:
    """Yield a heading for each point that has a name or a limit, and a line for each of its rows."""
    top = 0.04
    for _, group in groupby(rows, key=lambda row: row.point):
        together = tuple(group)
        if together[0].point or any(row.limits for row in together):
            yield _Line(top, HEADING, together)
            top += HEADING
        for row in together:
            names = tuple(style.wrap(row.party.label, NAMES))
            high = LINE if len(names) == 1 else TALL
            yield _Line(top, high, (row,), names)
            top += high


def _columns(rows: Sequence[Row], words: Words) -> _Columns:
    """Give the plot what the texts beside it leave over."""
    names = max(style.width(line) for row in rows for line in style.wrap(row.party.label, NAMES))
    engine = style.PAD + 0.12 + names + 0.15
    engines = max(style.width(_engine(row, words), style.SMALL) for row in rows)
    values = max(style.width(_numbers(row)) for row in rows)
    plot = engine + engines + 0.2
    badge = style.WIDTH - 0.22
    n = badge - 0.42
    value = n - 0.3 - max(values, 1.0)
    return _Columns(engine, plot, value - 0.2 - plot, value, n, badge)


def _span(sheet: Sheet) -> axis.Span:
    """Cover scores and estimates; and bounds and limits, unless those would squeeze all else."""
    core = [x for row in sheet.rows for x in (*row.scores, row.value) if x is not None]
    ends = [x for row in sheet.rows for x in (row.low, row.high) if x is not None]
    return axis.cover(core, [limit for row in sheet.rows for limit in row.limits], ends=ends, zero=bool(sheet.zero))


def _captions(table: Axes, columns: _Columns, sheet: Sheet) -> None:
    words = sheet.words
    looks: dict[str, Any] = {"size": style.SMALL, "color": style.SOFT, "va": "center"}
    table.text(columns.engine, -0.1, words("accelerator"), **looks)
    table.text(columns.value, -0.1, f"{words('value')} [{words('interval')}]", **looks)
    table.text(columns.n, -0.1, "n", ha="center", **looks)
    table.plot((style.PAD, style.WIDTH - style.PAD), (0.0, 0.0), color=style.FAINT, linewidth=0.6, clip_on=False)


def _line(stage: _Stage, line: _Line) -> None:
    if line.names:
        _names(stage, line)
        _misses(stage, line)
        _mark(stage, line)
    else:
        _heading(stage, line)


def _heading(stage: _Stage, line: _Line) -> None:
    """Write the point at the left, and its limit above the line that it draws."""
    row = line.rows[0]
    texts = dict.fromkeys(quantity.requirement(one.op, one.limits, one.unit) for one in line.rows if one.limits)
    room = stage.columns.plot - style.PAD - 0.1
    if row.point:
        point = style.fit(row.point, room, style.BODY, "bold")
        stage.table.text(style.PAD, line.middle, point, weight="bold", va="center")
    limited = next((one for one in line.rows if one.limits), None)
    if limited is None:
        return
    text = style.fit(stage.words("limit.axis", text=" / ".join(texts)), stage.columns.wide - 0.2, style.SMALL)
    where = stage.span.share(limited.limits[0])
    text = f"◂ {text}" if where < 0 else f"{text} ▸" if where > 1 else text
    half = style.width(text, style.SMALL) / 2
    middle = stage.columns.plot + stage.columns.wide * min(max(where, 0.0), 1.0)
    middle = min(max(middle, stage.columns.plot + half), stage.columns.plot + max(stage.columns.wide - half, half))
    stage.table.text(middle, line.middle + 0.02, text, size=style.SMALL, ha="center", va="center", color=style.ALARM,
                     bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 0.8})


def _names(stage: _Stage, line: _Line) -> None:
    """Write the columns of words and numbers, and the verdict."""
    row, columns = line.rows[0], stage.columns
    for index, name in enumerate(line.names):
        stage.table.text(style.PAD + 0.12, line.middle + 0.15 * (index - (len(line.names) - 1) / 2), name, va="center")
    made_up = row.party.simulated
    stage.table.text(columns.engine, line.middle, _engine(row, stage.words), size=style.SMALL, va="center",
                     color=style.ALARM if made_up else style.SOFT)
    stage.table.text(columns.value, line.middle, _numbers(row), va="center",
                     color=style.INK if row.value is not None else style.SOFT)
    if row.value is not None:
        stage.table.text(columns.n, line.middle, str(row.n), va="center", ha="center")
    style.badge(stage.table, columns.badge, line.middle, row.verdict)


def _engine(row: Row, words: Words) -> str:
    return style.fit(words("simulated") if row.party.simulated else row.party.accelerator or "–", ENGINES, style.SMALL)


def _numbers(row: Row) -> str:
    if row.value is None or row.low is None or row.high is None:
        return "–"
    shown = quantity.together(row.value, row.low, row.high, unit=row.unit, limits=row.limits)
    return f"{shown.value} {shown.unit} [{shown.low} … {shown.high}]"


def _misses(stage: _Stage, line: _Line) -> None:
    """Hatch what would miss the limit of this line, and draw the limit."""
    row, span = line.rows[0], stage.span
    for low, high in axis.missed(row.op, row.limits, span):
        stage.axes.add_patch(Rectangle((low, line.top), high - low, line.high, facecolor="#f4efee", edgecolor="#e3d3d0",
                                       hatch="////", linewidth=0, zorder=0.5))
    for limit in row.limits:
        if span.holds(limit):
            stage.axes.plot((limit, limit), (line.top, line.top + line.high), color=style.ALARM, linewidth=1.1,
                            zorder=1.6, solid_capstyle="butt")


def _mark(stage: _Stage, line: _Line) -> None:
    """Draw scores, interval and estimate of one row; arrows where the interval leaves the axis."""
    row, axes, span = line.rows[0], stage.axes, stage.span
    shade = style.colour(row.party)
    bar, dots = line.middle - 0.045, line.middle + 0.075
    steps = [dots + 0.028 * (index % 3 - 1) for index in range(len(row.scores))]
    axes.plot(row.scores, steps, linestyle="none", marker="o", markersize=3.0, color=shade, alpha=0.4,
              markeredgewidth=0, zorder=2)
    if row.value is None or row.low is None or row.high is None:
        _why_not(stage, line)
        return
    ends = [min(max(end, span.low), span.high) for end in (row.low, row.high)]
    broken = row.verdict in (Verdict.INVALID, Verdict.NOT_RUN)
    axes.plot(ends, (bar, bar), color=shade, linewidth=1.6, linestyle=(0, (2, 1.5)) if broken else "-", zorder=3)
    for end, edge, tip in ((row.low, ends[0], "<"), (row.high, ends[1], ">")):
        inside = span.holds(end)
        axes.plot((edge,), (bar,), marker="|" if inside else tip, markersize=7 if inside else 5, color=shade, zorder=3,
                  markeredgewidth=1.4 if inside else 0.5, clip_on=False)
    axes.plot((row.value,), (bar,), marker=style.marker(row.party), markersize=6.2, color=shade, zorder=4,
              markerfacecolor=style.PAPER if broken else shade, markeredgewidth=1.2)


def _why_not(stage: _Stage, line: _Line) -> None:
    """Say in the plot why a row has nothing to draw."""
    text = style.fit("; ".join(line.rows[0].why), stage.columns.wide - 0.1, style.SMALL)
    stage.table.text(stage.columns.plot + 0.05, line.middle, text, size=style.SMALL, va="center", color=style.SOFT,
                     bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1})


def _sources(sheet: Sheet) -> list[str]:
    """Return the footnotes: what the hatching means, where limits come from, what the letters of the verdicts mean."""
    words, room = sheet.words, style.WIDTH - 2 * style.PAD
    named = dict.fromkeys(row.source for row in sheet.rows if row.limits and row.source)
    verdicts = dict.fromkeys(sorted((row.verdict for row in sheet.rows), reverse=True))
    letters = " · ".join(f"{style.VERDICTS[verdict][0]} = {words.verdict(verdict)}" for verdict in verdicts)
    notes = [f"{words('verdict')}: {letters}"]
    if named:
        notes.append(f"{words('misses')}; {words('limit.source', source='; '.join(named))}")
    return [line for note in notes for line in style.wrap(note, room, style.SMALL, lines=2)]
