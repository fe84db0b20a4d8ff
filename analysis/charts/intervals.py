"""Estimates with their intervals, targets side by side, point by point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby

from matplotlib.figure import Figure

from analysis.charts import Absence, Chart, forest, slug, style
from analysis.rows import Material, Row
from analysis.words import Words

ORDER = 10
MOST = 36  # lines in one picture; an indicator with more is drawn in parts


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield the chart of every indicator that is no overhead."""
    yield from sheets((row for row in material.rows if not row.paired), words, "intervals")


def sheets(rows: Iterable[Row], words: Words, kind: str) -> Iterator[Chart | Absence]:
    """Yield one chart per indicator, or several where it has too many lines, or the reason why there is none."""
    for indicator, group in groupby(rows, key=lambda row: row.indicator):
        found = tuple(group)
        if not any(row.value is not None or row.scores for row in found):
            yield Absence(kind=kind, area=found[0].area, indicator=indicator, title=words.indicator(found[0]),
                          reason=_reason(found, words))
            continue
        parts = list(_parts(found))
        for number, part in enumerate(parts, 1):
            counted = f" ({number}/{len(parts)})" if len(parts) > 1 else ""
            yield _chart(part, kind=kind, counted=counted, words=words)


def notes(rows: Iterable[Row], words: Words) -> str:
    """Return what a reader must know of the numbers: direction, interval, estimand, method."""
    found = [row for row in rows if row.value is not None]
    if not found:
        return ""
    levels = sorted({row.confidence for row in found if row.confidence})
    interval = words("interval.level", level=" / ".join(f"{100 * level:.4g}" for level in levels) + " %")
    made = dict.fromkeys(", ".join(filter(None, map(words.say, (row.estimand, row.method)))) for row in found)
    texts = (words(f"better.{found[0].direction}"), interval, "; ".join(made), words("dots"))
    return " · ".join(filter(None, texts))


def _chart(rows: tuple[Row, ...], *, kind: str, counted: str, words: Words) -> Chart:
    return Chart(kind=kind, area=rows[0].area, indicator=rows[0].indicator, title=words.indicator(rows[0]) + counted,
                 caption=notes(rows, words), draw=partial(_draw, rows, counted, words),
                 slug=slug(rows[0].indicator, kind))


def _draw(rows: tuple[Row, ...], counted: str, words: Words) -> Figure:
    words = style.spoken(words)
    return forest.draw(forest.Sheet(title=words.indicator(rows[0]) + counted, notes=notes(rows, words), rows=rows,
                                    words=words, zero=words("overhead.axis") if rows[0].paired else ""))


def _parts(rows: tuple[Row, ...]) -> Iterator[tuple[Row, ...]]:
    """Cut between points, so that no part has more than MOST rows unless one point alone has."""
    part: tuple[Row, ...] = ()
    for _, group in groupby(rows, key=lambda row: row.point):
        more = tuple(group)
        if part and len(part) + len(more) > MOST:
            yield part
            part = ()
        part += more
    yield part


def _reason(rows: tuple[Row, ...], words: Words) -> str:
    verdicts = dict.fromkeys(words.verdict(row.verdict) for row in rows)
    whys = dict.fromkeys(why for row in rows for why in row.why)
    return ": ".join(filter(None, (", ".join(verdicts), "; ".join(whys))))
