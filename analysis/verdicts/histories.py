"""The page of histories: every series with its changes, and each chart as PNG and SVG beside it.

    out/history.html  history.json  charts/*.svg *.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analysis import charts, writing
from analysis.charts import Picture
from analysis.rows import clean
from analysis.verdicts import drawing, machine
from analysis.verdicts.cases import percent
from analysis.words import Words
from harness.regression.history import FEWEST, Histories, Series, Shift

PAGE = "history.html"


@dataclass(frozen=True)
class Line:
    """One change of level, ready to be printed."""

    title: str
    anchor: str
    worse: bool
    alarm: bool
    head: bool
    size: str
    interval: str
    n: str
    p: str
    before: str
    after: str
    since: str
    suspects: str
    also: tuple[str, ...]


def write(histories: Histories, out: Path, *, lang: str = "en") -> Path:
    """Write page and charts into `out` and return the page; InputError where it cannot be written."""
    words = Words(lang)
    drawn = [item for item in charts.render(drawing.charts(histories, words)) if isinstance(item, Picture)]
    files = writing.pictures(drawn)
    files["history.json"] = machine.history_json(histories).encode()
    files[PAGE] = html(histories, drawn, words).encode()
    writing.replace(out, files, PAGE)
    return out / PAGE


def html(histories: Histories, drawn: list[Picture], words: Words) -> str:
    """Return the page; every text is escaped, only the SVG of charts is taken as markup."""
    lines = [_line(one, shift, words) for one in histories.series for shift in one.shifts]
    ordered = sorted(lines, key=lambda line: (not line.alarm, not line.head, not line.worse, line.title))
    short = [one.name for one in histories.series if len(one.points) < FEWEST]
    return writing.template("history.html.j2").render(
        t=words, lang=words.lang, histories=histories, lines=ordered, pictures=drawn, short=short,
        alarms=sum(line.alarm for line in lines), label=clean(histories.label),
        skipped=[f"{one.name}: {text}" for one in histories.series for text in one.skipped],
        targets=list(dict.fromkeys(f"{one.target} · {one.scenario}" for one in histories.series)),
        drawing=writing.inline)


def _line(series: Series, shift: Shift, words: Words) -> Line:
    points = words("history.points") if series.share else ""
    middle, low, high = shift.loss
    return Line(
        title=drawing.title(series, words), anchor=charts.slug("history", series.name), worse=shift.worse,
        alarm=shift.alarm, head=shift.at_head, size=f"{percent(middle)}{points}",
        interval=f"{percent(low)} … {percent(high)}",
        n=" / ".join(map(str, reversed(shift.contrast.n))), p=f"{shift.p:.2g}",
        before=drawing.level_text(shift.before, series.unit), after=drawing.level_text(shift.after, series.unit),
        since=clean(series.points[shift.first].label), suspects=" … ".join(map(clean, shift.suspects)),
        also=tuple(f"{clean(each.key)}: {clean(each.one) or '–'} → {clean(each.other) or '–'}" for each in shift.also))


__all__ = ["PAGE", "html", "write"]
