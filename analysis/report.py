"""The report: one self-contained HTML page, its charts as files, and the findings for machines.

    out/report.html  findings.json  findings.csv  [assessments.json report.pdf]  charts/*.svg *.png  evidence/*.sha256

Nothing is measured or judged here, nothing is fetched, and the same input gives the same bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis import charts, export, pdf, reasons
from analysis import page as pages
from analysis.charts import Absence, Picture
from analysis.rows import Material, clean, material
from analysis.words import Words
from harness.assessment import Assessment
from harness.errors import InputError
from harness.model import Finding, Run
from harness.profile import Profile

TEMPLATES = Path(__file__).parent / "templates"
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
    pictures = [item for item in drawn if isinstance(item, Picture)]
    files = {f"charts/{picture.chart.slug}.svg": picture.svg.encode() for picture in pictures}
    files |= {f"charts/{picture.chart.slug}.png": picture.png for picture in pictures}
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
    replace(out, files, PAGE)
    return out / PAGE


def html(gathered: Material, drawn: Sequence[Picture | Absence], profile: Profile | None,
         words: Words, assessments: Sequence[Assessment] = (), lab: str = "") -> str:
    """Return the page; every text is escaped, only the SVG of charts is taken as markup."""
    values = pages.context(gathered, drawn, profile, words, assessments) | {"lab": clean(lab)}
    return environment().get_template("report.html.j2").render(values)


def environment() -> jinja2.Environment:
    """Return the templates, with escaping on and unknown names refused."""
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
                              undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["asset"] = asset
    return made


def asset(name: str) -> Markup:
    """Return one of the project's own files as markup, to be put into the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def replace(out: Path, files: Mapping[str, bytes], page: str) -> None:
    """Write the files; charts and lists that an earlier `page` left in `out` and this one lacks are removed."""
    ours = (out / page).exists()
    for name, data in files.items():
        put(out / name, data)
    for left in (*out.glob("charts/*.svg"), *out.glob("charts/*.png"), *out.glob("evidence/*.sha256")) if ours else ():
        if left.relative_to(out).as_posix() not in files:
            left.unlink()


def put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; choose another directory with -o") from None
