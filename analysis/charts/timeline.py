"""What a step measured second by second, with its steady window, what came before it, and how busy the host was.

One panel per target: all rounds thin, the round of median level strong. Panels have scales of their own, each from
zero, so that the height of a ripple is its share of the level. Time counts from where measuring began, after filling
and ramps, which take longer in some rounds. Telemetry below belongs to the strong round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from analysis import quantity
from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.rows import Material
from analysis.traces import Floats, Lane, Trace, Track, tracks
from analysis.words import Words

ORDER = 30
COLUMNS, MAIN, BELOW, GAP, CAPTION = 3, 1.35, 0.5, 0.1, 0.62
LEFT, BETWEEN = 0.72, 0.7
LOOKS = {"host cpu.busy": ("-", style.INK), "host cpu.steal": ((0, (2, 1)), style.ALARM),
         "guest cpu.busy": ((0, (5, 1.5)), "#2f6f9f"), "guest cpu.steal": ((0, (1, 1)), "#b0569a")}
MOST_POINTS = 600
BEFORE = 0.2  # how much of the time before measuring is shown, relative to the time measured


@dataclass(frozen=True)
class _Place:
    """Where a lane is drawn, in inches from the upper left corner."""

    left: float
    top: float
    wide: float


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every stage, point and metric that was measured over time."""
    for track in tracks(material):
        area = words.area_of(track.metric)
        yield Chart(kind="timeline", area=area, title=_title(track, words), caption=_notes(track, words),
                    draw=partial(_draw, track, words),
                    slug=slug(latency.place(track.stage, track.point), track.metric, track.labels, "timeline"))


def _title(track: Track, words: Words) -> str:
    where, what = latency.place(track.stage, track.point), latency.described(track.metric, track.labels)
    return f"{words('timeline.title')}: {where} · {what}"


def _notes(track: Track, words: Words) -> str:
    happened = any(lane.typical.events for lane in track.lanes)
    return words("timeline.notes") + (words("timeline.events") if happened else "")


def _draw(track: Track, words: Words) -> Figure:
    words = style.spoken(words)
    notes = _notes(track, words)
    telemetry = any(lane.typical.around for lane in track.lanes)
    names = list(dict.fromkeys(name for lane in track.lanes for name, _ in lane.typical.around))
    block = CAPTION + MAIN + (GAP + BELOW if telemetry else 0.0) + 0.5
    top = style.headroom(notes) + (0.2 if names else 0.0)
    columns = min(COLUMNS, len(track.lanes))
    made = style.figure(top + block * -(-len(track.lanes) // columns))
    style.head(made, _title(track, words), notes, flag=style.flag((lane.party for lane in track.lanes), words))
    _key(made, style.headroom(notes) + 0.08, names)
    wide = (style.WIDTH - LEFT - 0.15 - (columns - 1) * BETWEEN) / columns
    for index, lane in enumerate(track.lanes):
        place = _Place(LEFT + (index % columns) * (wide + BETWEEN), top + block * (index // columns), wide)
        _lane(made, place, lane, track.unit, words)
    return made


def _key(made: Figure, top: float, names: Sequence[str]) -> None:
    """Name the lines of the telemetry strips."""
    left = style.PAD
    for name in names:
        dash, shade = LOOKS[name]
        axes = style.panel(made, (left, top - 0.06, style.SAMPLE, 0.12))
        axes.axis("off")
        axes.plot((0, 1), (0, 0), color=shade, linestyle=dash, linewidth=1.1)
        style.write(made, left + style.SAMPLE + 0.08, top, name, size=style.SMALL, color=style.SOFT)
        left += style.SAMPLE + 0.3 + style.width(name, style.SMALL)


def _lane(made: Figure, place: _Place, lane: Lane, unit: str, words: Words) -> None:
    typical, shade = lane.typical, style.colour(lane.party)
    engine = words("simulated") if lane.party.simulated else lane.party.accelerator
    lines = (" · ".join(filter(None, (engine, lane.arm, f"n = {len(lane.traces)}"))), _state(typical, words))
    style.write(made, place.left, place.top + 0.16, style.fit(lane.party.label, place.wide, style.SMALL, "bold"),
                size=style.SMALL, weight="bold")
    for index, text in enumerate(lines):
        style.write(made, place.left, place.top + 0.33 + 0.15 * index, style.fit(text, place.wide, style.SMALL),
                    size=style.SMALL, color=style.SOFT)
    axes = style.panel(made, (place.left, place.top + CAPTION, place.wide, MAIN))
    for trace in lane.traces:
        strong = trace is typical
        axes.plot(*_thinned(trace.line.times - trace.begin, trace.line.values), color=shade, zorder=3 if strong else 2,
                  linewidth=1.2 if strong else 0.5, alpha=1.0 if strong else 0.4)
    _scales(axes, lane, unit)
    _window(axes, typical, lane.cut)
    _events(axes, typical)
    if typical.around:
        axes.tick_params(labelbottom=False)
        axes = _below(made, place, typical, axes)
    axes.set_xlabel(words("seconds"), labelpad=2)


def _state(typical: Trace, words: Words) -> str:
    kind = words(f"steady.{typical.kind}")
    return words("timeline.state" if typical.steady is not None else "timeline.open", kind=kind, round=typical.round)


def _scales(axes: Axes, lane: Lane, unit: str) -> None:
    high = max(float(trace.line.values.max()) for trace in lane.traces)
    low = min(0.0, min(float(trace.line.values.min()) for trace in lane.traces))
    last = max(float(trace.line.times[-1]) - trace.begin for trace in lane.traces)
    before = min(BEFORE * last, lane.typical.begin)
    span = axis.Span(low, high + 0.12 * (high - low) if high > low else low + 1.0)
    axis.upright(axes, span, unit, most=4)
    axes.set_xlim(-before, 1.01 * last)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 3, 5, 6, 10]))
    axes.grid()


def _window(axes: Axes, typical: Trace, cut: float) -> None:
    """Hatch what the strong round did before its scores begin, and draw its steady window as a bar on top."""
    left = axes.get_xlim()[0]
    if cut > left:
        axes.axvspan(left, cut, facecolor="#eceef0", edgecolor="#c3c9cf", hatch="////", linewidth=0, zorder=0.5)
    if typical.steady is not False:
        span = (typical.start - typical.begin, float(typical.line.times[-1]) - typical.begin)
        axes.plot(span, (0.985, 0.985), transform=axes.get_xaxis_transform(), color="#12633f", linewidth=2.2,
                  linestyle="-" if typical.steady else (0, (2, 1.5)), solid_capstyle="butt", clip_on=False)


def _events(axes: Axes, typical: Trace) -> None:
    """Mark when something happened in the strong round: from its begin, a line, to its end."""
    last = axes.get_xlim()[1]
    for begin, end in typical.events:
        axes.axvspan(begin - typical.begin, min(end - typical.begin, last), color=style.ALARM, alpha=0.12, linewidth=0,
                     zorder=0.4)
        axes.axvline(begin - typical.begin, color=style.ALARM, linewidth=0.9, zorder=0.6)


def _below(made: Figure, place: _Place, typical: Trace, above: Axes) -> Axes:
    axes = style.panel(made, (place.left, place.top + CAPTION + MAIN + GAP, place.wide, BELOW))
    for name, line in typical.around:
        dash, shade = LOOKS[name]
        axes.plot(*_thinned(line.times - typical.begin, line.values), color=shade, linestyle=dash, linewidth=0.9)
    axes.set(ylim=(0, 1.05), xlim=above.get_xlim())
    axes.yaxis.set_major_locator(MultipleLocator(0.5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: quantity.single(y, "1")))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 3, 5, 6, 10]))
    axes.grid()
    return axes


def _thinned(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return at most MOST_POINTS points; of each dropped stretch its lowest and highest value stay."""
    if len(times) <= MOST_POINTS:
        return times, values
    cuts = np.array_split(np.arange(len(times)), MOST_POINTS // 2)
    keep = np.unique([(cut[values[cut].argmin()], cut[values[cut].argmax()]) for cut in cuts])
    return times[keep], values[keep]
