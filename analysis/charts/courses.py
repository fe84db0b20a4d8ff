"""Requests while something happens: answered and failed ones over time, how long answers took, and what was done when.

One block a target, of the round in which most requests failed. Bars are requests a second; what is done to the service
is a line through both panels, what platform and gateway say of it a mark on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.courses import Course, Scene, scenes
from analysis.rows import Material
from analysis.words import Words

ORDER = 45
LEFT, CAPTION, NAMES, BARS, ANSWERS, GAP, BELOW = 0.85, 0.3, 0.34, 1.15, 0.75, 0.12, 0.5
DONE = ("service", "fault", "migration")        # actors whose doings are lines
FAILED = (("#a3160c", ""), ("#d98c3f", "////"), ("#6b7680", "...."), ("#5c3d87", "xxxx"), ("#16202b", "\\\\\\\\"))


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every stage and point that was loaded while something happened."""
    for scene in scenes(material):
        yield Chart(kind="courses", area="APP", title=_title(scene, words), caption=words("courses.notes"),
                    draw=partial(_draw, scene, words), slug=slug(latency.place(scene.stage, scene.point), "courses"))


def _title(scene: Scene, words: Words) -> str:
    return f"{words('courses.title')}: {latency.place(scene.stage, scene.point)}"


def _draw(scene: Scene, words: Words) -> Figure:
    words = style.spoken(words)
    notes = words("courses.notes")
    block = CAPTION + NAMES + BARS + GAP + ANSWERS + BELOW
    reasons = list(dict.fromkeys(reason for course in scene.courses for reason in course.failed))
    top = style.headroom(notes) + (0.22 if reasons else 0.04)
    made = style.figure(top + block * len(scene.courses))
    style.head(made, _title(scene, words), notes, flag=style.flag((each.party for each in scene.courses), words))
    _key(made, style.headroom(notes) + 0.1, reasons, words)
    for index, course in enumerate(scene.courses):
        _block(made, top + index * block, course, reasons, words)
    return made


def _key(made: Figure, top: float, reasons: list[str], words: Words) -> None:
    """Name the bars of failed requests."""
    left = style.PAD
    for number, reason in enumerate(reasons):
        shade, hatch = FAILED[number % len(FAILED)]
        axes = style.panel(made, (left, top - 0.06, 0.22, 0.12))
        axes.axis("off")
        axes.bar((0,), (1,), color=shade, hatch=hatch, edgecolor=style.PAPER, linewidth=0)
        said = words("courses.failed", reason=reason)
        style.write(made, left + 0.3, top, said, size=style.SMALL)
        left += 0.55 + style.width(said, style.SMALL)


def _block(made: Figure, top: float, course: Course, reasons: list[str], words: Words) -> None:
    engine = words("simulated") if course.party.simulated else course.party.accelerator
    said = " · ".join(filter(None, (course.party.label, engine, words(
        "courses.which", round=course.round, n=course.requests, failed=course.lost))))
    style.write(made, style.PAD, top + 0.12, style.fit(said, style.WIDTH - 0.2, style.SMALL, "bold"), size=style.SMALL,
                weight="bold")
    wide = style.WIDTH - LEFT - 0.25
    above = style.panel(made, (LEFT, top + CAPTION + NAMES, wide, BARS))
    below = style.panel(made, (LEFT, top + CAPTION + NAMES + BARS + GAP, wide, ANSWERS))
    _bars(above, course, reasons, words)
    last = course.width * course.answered.size
    _answers(below, course, words)
    for axes in (above, below):
        axes.set_xlim(0.0, last)
        axes.grid(axis="y")
        for mark in course.marks:
            if mark.actor in DONE:
                axes.axvspan(mark.start, mark.end, color=style.ALARM, alpha=0.12, linewidth=0)
                for edge in (mark.start, mark.end):
                    axes.axvline(edge, color=style.ALARM, linewidth=0.9)
    above.tick_params(labelbottom=False)
    below.set_xlabel(words("courses.axis"), labelpad=2)
    _names(above, course, last)


def _bars(axes: Axes, course: Course, reasons: list[str], words: Words) -> None:
    """Draw requests a second, failed ones on top of answered ones."""
    at = course.width * (np.arange(course.answered.size) + 0.5)
    level = course.answered / course.width
    axes.bar(at, level, width=course.width, color=style.colour(course.party), linewidth=0)
    for number, reason in enumerate(reasons):
        if reason in course.failed:
            shade, hatch = FAILED[number % len(FAILED)]
            part = course.failed[reason] / course.width
            axes.bar(at, part, width=course.width, bottom=level, color=shade, hatch=hatch, edgecolor=style.PAPER,
                     linewidth=0)
            level = level + part
    axis.upright(axes, axis.Span(0.0, 1.08 * float(level.max(initial=1.0))), "1/s", words("courses.rate"), most=3)


def _answers(axes: Axes, course: Course, words: Words) -> None:
    """Draw how long each answer took."""
    axes.plot(course.due, course.took, ".", color=style.colour(course.party), markersize=2.2, rasterized=True)
    low, high = (float(np.min(course.took)), float(np.max(course.took))) if course.took.size else (1e-3, 1.0)
    axis.upright(axes, axis.Span(0.8 * low, 1.25 * max(high, 2 * low), True), "s", words("courses.took"), most=3)


def _names(axes: Axes, course: Course, last: float) -> None:
    """Name what happened above the bars, in two rows so that neighbours do not cover each other; else leave it out."""
    ends = [-1.0, -1.0]
    for mark in course.marks:
        done = mark.actor in DONE
        row = next((number for number, end in enumerate(ends) if mark.start >= end), None)
        if row is None or not 0 <= mark.start <= last:
            continue
        text = mark.name if mark.fine or done else f"✖ {mark.name}"
        axes.annotate(text, (mark.start, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 4 + 11 * row),
                      textcoords="offset points", size=style.SMALL, color=style.ALARM if done else style.INK,
                      weight="bold" if done else "normal", annotation_clip=False)
        ends[row] = mark.start + last * (style.width(text, style.SMALL) / (style.WIDTH - LEFT - 0.25) + 0.01)
