"""Pages and what lies beside them, on their way into a folder: templates, charts as files, files whole or not at all.

The one thing to know: a page and its charts replace those of an earlier one, so that a folder never holds two reports.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis.charts import Absence, Picture
from harness.errors import InputError

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> jinja2.Template:
    """Return a template, with escaping on and unknown names refused."""
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
                              undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["asset"] = asset
    return made.get_template(name)


def asset(name: str) -> Markup:
    """Return one of the project's own files as markup, to be put into the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def inline(picture: Picture) -> Markup:
    """Return a chart as markup: the project's own SVG, all texts in it escaped."""
    return Markup(picture.inline)


def pictures(drawn: Iterable[Picture | Absence]) -> dict[str, bytes]:
    """Return the charts that could be drawn as files, by name."""
    found = [item for item in drawn if isinstance(item, Picture)]
    return {f"charts/{picture.chart.slug}.{ending}": data for picture in found
            for ending, data in (("svg", picture.svg.encode()), ("png", picture.png))}


def replace(out: Path, files: Mapping[str, bytes], page: str) -> None:
    """Write the files; charts and lists that an earlier `page` left in `out` and this one lacks are removed."""
    ours = (out / page).exists()
    for name, data in files.items():
        _put(out / name, data)
    for left in (*out.glob("charts/*.svg"), *out.glob("charts/*.png"), *out.glob("evidence/*.sha256")) if ours else ():
        if left.relative_to(out).as_posix() not in files:
            left.unlink()


def _put(path: Path, data: bytes) -> None:
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
