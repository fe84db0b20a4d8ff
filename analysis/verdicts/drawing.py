"""A history as a picture: the estimate of each run in order, levels between changes, and where each change lies.

Levels are medians, whiskers 95 % intervals over the rounds of one run. A change is told by its mark and its words, not
by its colour alone.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import quantity
from analysis.charts import Chart, axis, slug, style
from analysis.rows import clean, names
from analysis.verdicts.cases import percent
from analysis.words import Words
from harness.regression.history import Histories, Series, Shift
from harness.stats.records import Direction

TALL, LEFT, RIGHT, BELOW, LABELS = 2.5, 0.85, 0.2, 0.85, 12
WORSE, BETTER, LEVEL = style.ALARM, "#12633f", "#16202b"


def charts(histories: Histories, words: Words) -> list[Chart]:
    """Return the chart of every series, those with an alarm first."""
    ordered = sorted(histories.series, key=lambda one: (not any(shift.alarm for shift in one.shifts), one.name))
    made: dict[str, Chart] = {}
    for series in ordered:
        name = slug("history", series.name)
        name = name if name not in made else f"{name}-{len(made)}"
        made[name] = Chart(
            kind="history", area=series.indicator.partition("-")[0], slug=name, indicator=series.indicator,
            title=title(series, words), caption=words("history.notes"), wide=words.lang == "zh",
            draw=partial(draw, series, histories.label, words))
    return list(made.values())


def title(series: Series, words: Words) -> str:
    """Return what the series is called."""
    known = names(series.indicator)
    return " · ".join(filter(None, (series.indicator, words.pick(known.en, known.zh), clean(series.point),
                                    clean(series.target))))


def draw(series: Series, label: str, words: Words) -> Figure:
    """Return the figure."""
    words = style.spoken(words)
    rounds = sorted({point.n for point in series.points})
    many = f"{rounds[0]}…{rounds[-1]}" if len(rounds) > 1 else str(rounds[0])
    notes = " · ".join(filter(None, (
        words("history.n", runs=len(series.points), rounds=many), words("history.notes"),
        words("history.spikes") if series.spikes else "", words(f"better.{series.direction}"),
        words("history.floor", floor=percent(series.floor, sign=False)),
        "" if series.simulated else series.accelerator)))
    tall = TALL + BELOW
    made = style.figure(style.headroom(notes) + tall + 0.3)
    style.head(made, title(series, words), notes, flag=words("simulated") if series.simulated else "")
    axes = style.panel(made, (LEFT, style.headroom(notes) + 0.3, style.WIDTH - LEFT - RIGHT, TALL))
    _plot(axes, series)
    for shift in series.shifts:
        _mark(axes, series, shift, words)
    _axes(axes, series)
    axes.set_xlabel(words("history.axis", label=clean(label) or words("begun")), labelpad=2)
    return made


def _plot(axes: Axes, series: Series) -> None:
    """Draw runs with intervals, and the level of each segment as a line."""
    values = [point.value for point in series.points]
    turns = range(len(values))
    for turn, point in enumerate(series.points):
        if np.isfinite((point.low, point.high)).all():
            axes.plot((turn, turn), (point.low, point.high), color=style.SOFT, linewidth=0.9, zorder=2)
    axes.plot(turns, values, linestyle="none", marker="o", markersize=4, color=style.PALETTE[0], zorder=3)
    axes.plot(series.spikes, [values[turn] for turn in series.spikes], linestyle="none", marker="o", markersize=10,
              markerfacecolor="none", markeredgecolor=style.SOFT, zorder=4)
    edges = [0, *(shift.first for shift in series.shifts), len(values)]
    for start, end in pairwise(edges):
        level = float(np.median(values[start:end]))
        axes.plot((start - 0.4, end - 0.6), (level, level), color=LEVEL, linewidth=1.4, zorder=2.5)


def _mark(axes: Axes, series: Series, shift: Shift, words: Words) -> None:
    """Shade where the cause lies, and write how large the change is and whether it is an alarm."""
    worse = shift.worse
    shade = WORSE if worse else BETTER
    axes.axvspan(shift.first - 1, min(shift.first + 1, len(series.points) - 1), color=style.FAINT, alpha=0.5,
                 linewidth=0, zorder=0.5)
    axes.axvline(shift.first - 0.5, color=shade, linewidth=1.0, linestyle="-" if shift.alarm else (0, (4, 2)), zorder=1)
    up = (series.direction is Direction.LOWER_IS_BETTER) == worse
    points = words("history.points") if series.share else ""
    word, size = words("history.worse" if worse else "history.better"), percent(abs(shift.loss[0]), sign=False)
    ends = sorted(abs(end) if end * shift.loss[0] > 0 else -abs(end) for end in shift.loss[1:])
    interval = " … ".join(percent(end, sign=False) for end in ends)
    text = f"{'▲' if up else '▼'} {word} {size}{points} [{interval}]"
    if shift.alarm:
        text = f"{text} · {words('history.alarm')}"
    right = shift.first > 0.6 * len(series.points)
    axes.annotate(text, (shift.first - 0.5, 1.0), xycoords=("data", "axes fraction"), textcoords="offset points",
                  xytext=(-4 if right else 4, 5), ha="right" if right else "left", va="bottom", size=style.SMALL,
                  color=shade, weight="bold" if shift.alarm else "normal", annotation_clip=False)


def _axes(axes: Axes, series: Series) -> None:
    points = series.points
    core = [point.value for point in points]
    ends = [end for point in points for end in (point.low, point.high)]
    axis.upright(axes, axis.cover(core, ends=ends), series.unit)
    axes.set_xlim(-0.8, len(points) - 0.2)
    step = -(-len(points) // LABELS)
    shown = sorted({*range(0, len(points), step), *(shift.first for shift in series.shifts)})
    axes.set_xticks(shown, [style.fit(clean(points[turn].label), 1.0, style.SMALL) for turn in shown], rotation=35,
                    ha="right", rotation_mode="anchor")
    axes.grid(axis="y")


def level_text(value: float, unit: str) -> str:
    """Return a level with its unit."""
    return quantity.single(value, unit)


__all__ = ["charts", "draw", "level_text", "title"]
