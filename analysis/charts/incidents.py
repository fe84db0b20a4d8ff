"""Events one by one: the fault, what the platform did about it, and the outage by each probe, on one time axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import quantity
from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.episodes import Episode, episodes
from analysis.rows import Material
from analysis.words import Words

ORDER = 40
MOST = 6        # events in one picture: of each target the worst, then others in order
LINE, CAPTION, LEFT = 0.2, 0.34, 2.1
FORM = {"detected": "v", "fenced": "X", "restarted": "^", "booted": "D", "served": "o"}


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every stage and point at which something was broken or moved."""
    found = sorted(episodes(material), key=lambda each: (each.stage, each.point, each.kind))
    for (stage, point, kind), group in groupby(found, key=lambda each: (each.stage, each.point, each.kind)):
        its = tuple(group)
        area = "MIG" if kind == "move" else "HA"
        yield Chart(kind="incidents", area=area, title=title(its, words), caption=_notes(its, words),
                    draw=partial(_draw, its, words), slug=slug(latency.place(stage, point), kind, "incidents"))


def title(found: Sequence[Episode], words: Words) -> str:
    """Return what a chart of these events is called."""
    return f"{words('incidents.title')}: {latency.place(found[0].stage, found[0].point)} · {found[0].kind}"


def length(episode: Episode) -> float:
    """Return the outage in s; 0 where no probe looked."""
    return episode.worst.value if episode.worst else 0.0


def _chosen(found: Sequence[Episode]) -> list[Episode]:
    ranked = sorted(found, key=lambda each: (-length(each), each.round, each.number))
    worst = list({each.party.index: each for each in reversed(ranked)}.values())
    return sorted([*worst, *(each for each in ranked if each not in worst)][:MOST],
                  key=lambda each: (each.party.index, -length(each)))


def _notes(found: Sequence[Episode], words: Words) -> str:
    return words("incidents.notes", shown=min(len(found), MOST), n=len(found))


def _draw(found: Sequence[Episode], words: Words) -> Figure:
    words = style.spoken(words)
    notes, shown = _notes(found, words), _chosen(found)
    heights = [CAPTION + LINE * len(_lines(each, words)) for each in shown]
    top = style.headroom(notes) + 0.1
    made = style.figure(top + sum(heights) + 0.55)
    style.head(made, title(found, words), notes, flag=style.flag((each.party for each in shown), words))
    span = _span(shown)
    for index, (episode, high) in enumerate(zip(shown, heights, strict=True)):
        said = " · ".join(filter(None, (episode.party.label, episode.party.accelerator, words(
            "incidents.which", round=episode.round, number=episode.number), _lost(episode, words))))
        style.write(made, style.PAD, top + 0.2, style.fit(said, style.WIDTH - 0.2, style.SMALL, "bold"),
                    size=style.SMALL, weight="bold", color=style.ALARM if episode.lost else style.INK)
        axes = style.panel(made, (LEFT, top + CAPTION, style.WIDTH - LEFT - 0.75, high - CAPTION))
        _episode(axes, episode, span, words)
        if index < len(shown) - 1:
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
        top += high
    return made


def _lost(episode: Episode, words: Words) -> str:
    return "" if episode.lost is None else words("incidents.lost", n=episode.lost)


def _lines(episode: Episode, words: Words) -> list[str]:
    """Return what has a line: the event, the platform where it said anything, and each probe."""
    platform = (words("incidents.platform"),) if episode.marks else ()
    return [words("incidents.fault"), *platform, *(words.probe(each.probe) for each in episode.seen)]


def _span(shown: Sequence[Episode]) -> axis.Span:
    ends = [each.injected for each in shown]
    ends += [mark.at for each in shown for mark in each.marks]
    ends += [each.healed for each in shown if each.healed is not None]
    ends += [seen.start + (seen.high if math.isfinite(seen.high) else seen.low) for each in shown for seen in each.seen]
    far = max(ends, default=1.0) or 1.0
    return axis.Span(-0.04 * far, 1.06 * far)


def _episode(axes: Axes, episode: Episode, span: axis.Span, words: Words) -> None:
    names = _lines(episode, words)
    axes.set_yticks(range(len(names)), [style.fit(name, LEFT - 0.2, style.SMALL) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axis.across(axes, span, "s", words("incidents.axis"))
    until = episode.injected if episode.healed is None else episode.healed
    axes.plot((0, until), (0, 0), color=style.INK, linewidth=1.0)
    axes.plot((0,), (0,), marker="|", color=style.ALARM, markersize=10, markeredgewidth=2.2, clip_on=False)
    if episode.healed is not None:
        axes.plot((until,), (0,), marker="|", color=style.INK, markersize=8, clip_on=False)
        _say(axes, until, 0, words("incidents.healed"), span)
    for mark in episode.marks:
        axes.plot((mark.at,), (1,), marker=FORM.get(mark.name, "s"), markersize=5.5, color=style.INK, clip_on=False,
                  markerfacecolor=style.INK if mark.fine else style.PAPER, linestyle="none")
    for line, seen in enumerate(episode.seen, len(names) - len(episode.seen)):
        open_end = not math.isfinite(seen.value)
        end = span.high if open_end else seen.start + seen.value
        axes.barh(line, end - seen.start, left=seen.start, height=0.55, color=style.colour(episode.party),
                  hatch="////" if open_end else None, edgecolor=style.PAPER, linewidth=0)
        if not open_end and seen.value:
            slack = (seen.high - seen.low) / 2
            axes.plot((end - slack, end + slack), (line, line), color=style.INK, linewidth=1.1, marker="|",
                      markersize=4)
        text = words("incidents.never") if open_end else quantity.single(seen.value, "s", 3) if seen.value else (
            f"< {quantity.single(seen.high, 's', 3)}")
        _say(axes, span.high if open_end else max(end, seen.start + seen.high), line, text, span)


def _say(axes: Axes, x: float, y: float, text: str, span: axis.Span) -> None:
    axes.annotate(text, (min(x, span.high), y), xytext=(7, 0), textcoords="offset points", va="center",
                  size=style.SMALL, annotation_clip=False)
