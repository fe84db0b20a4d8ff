"""The comparison as one self-contained HTML page, its charts as files, and all of it for machines.

    out/compare.html  comparison.json  comparison.csv  charts/*.svg *.png

Nothing is measured or judged here, and the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis import charts, writing
from analysis.charts import Picture
from analysis.comparing import export, ratios, tables, told
from analysis.words import Words
from harness.comparison import Comparison
from harness.model import Run

PAGE = "compare.html"


def write(found: Comparison, runs: Sequence[Run], out: Path, *, lang: str = "en") -> Path:
    """Write the comparison of `runs` into `out` and return its page; InputError where `out` cannot be written."""
    words = Words(lang)
    drawn = [item for item in charts.render(list(ratios.charts(found, words))) if isinstance(item, Picture)]
    files = writing.pictures(drawn)
    files |= {"comparison.json": export.as_json(found, runs).encode(), "comparison.csv": export.as_csv(found).encode(),
              PAGE: html(found, runs, drawn, words).encode()}
    writing.replace(out, files, PAGE)
    return out / PAGE


def html(found: Comparison, runs: Sequence[Run], drawn: Sequence[Picture], words: Words) -> str:
    """Return the page; every text is escaped, only the SVG of charts is taken as markup."""
    return writing.template("compare.html.j2").render({
        "t": words, "lang": words.lang, "title": " · ".join(dict.fromkeys(
            words.pick(run.plan.scenario.title, run.plan.scenario.title_zh) for run in runs)),
        "says": told.paragraphs(found, runs, words), "sheets": tables.sheets(found, runs, drawn, words),
        "apart": tables.apart(found.apart, words), "forced": tables.apart(found.forced, words),
        "simulated": [who.name for who in tables.everyone(found) if who.simulated],
        "outcomes": tables.legend(words), "drawing": writing.inline,
    })
