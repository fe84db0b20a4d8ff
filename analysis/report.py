"""The report: one self-contained HTML page, its charts as files, and the findings for machines.

    out/report.html  findings.json  findings.csv  [assessments.json report.pdf]  charts/*.svg *.png  evidence/*.sha256

Nothing is measured or judged here, nothing is fetched, and the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from analysis import charts, export, pdf, reasons, writing
from analysis import page as pages
from analysis.charts import Absence, Picture
from analysis.rows import Material, clean, material
from analysis.words import Words
from harness.assessment import Assessment
from harness.model import Finding, Run
from harness.profile import Profile

PAGE, PDF = "report.html", "report.pdf"


def write(runs: Sequence[Run], findings: Iterable[Finding], profile: Profile | None, out: Path, *, lang: str = "en",
          folders: Sequence[Path] = (), assessments: Sequence[Assessment] = (), lab: str = "",
          as_pdf: bool = False) -> Path:
    """Write the report into `out` and return its page; `profile` is what the findings were judged against, and
    `assessments` what that says of each standard in it.

    `folders` are the run folders in the order of `runs`; `lab` is who signs; `as_pdf` adds report.pdf. InputError where
    `out` cannot be written.
    """
    found, words = tuple(findings), Words(lang)
    gathered = material(runs, found, folders)
    shown = reasons.spoken(gathered, words.lang)
    drawn = charts.render(list(charts.plan(shown, words)))
    files = writing.pictures(drawn)
    files |= {f"evidence/{charts.slug(kept.party.target, str(number))}.sha256": kept.listing.encode()
              for number, kept in enumerate(export.evidence(gathered), 1)}
    files["findings.json"] = export.findings_json(found).encode()
    if assessments:
        files["assessments.json"] = export.assessments_json(assessments).encode()
    files["findings.csv"] = export.findings_csv(gathered.rows).encode()
    page = html(shown, drawn, profile, words, assessments, lab)
    files[PAGE] = page.encode()
    if as_pdf:
        files[PDF] = pdf.made(page)
    writing.replace(out, files, PAGE)
    return out / PAGE


def html(gathered: Material, drawn: Sequence[Picture | Absence], profile: Profile | None,
         words: Words, assessments: Sequence[Assessment] = (), lab: str = "") -> str:
    """Return the page; every text is escaped, only the SVG of charts is taken as markup."""
    values = pages.context(gathered, drawn, profile, words, assessments) | {"lab": clean(lab)}
    return writing.template("report.html.j2").render(values)
