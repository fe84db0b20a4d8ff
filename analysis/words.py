"""Every word that a report or a chart says, in English and Chinese; the layout knows only the keys of words.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from analysis import reasons
from analysis.rows import Row
from harness.indicators.events import LOAD
from harness.model import Verdict

LANGUAGES = ("en", "zh")
AREA_OF = {"cpu": "CPU", "scheduling": "CPU", "memory": "MEM", "disk": "STO", "net": "NET", "app": "APP"}


class Words:
    """The words of one language: `words("findings")`, `words("findings.total", n=5)`."""

    def __init__(self, lang: str = "en") -> None:
        self.lang = lang if lang in LANGUAGES else "en"

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of `key`, with its {names} filled in; KeyError for an unknown key."""
        text = self.pick(*table()["text"][key])
        return text.format(**values) if values else text

    def say(self, text: str) -> str:
        """Return a sentence that harness wrote, in the reader's language where reasons.toml has it."""
        return reasons.said(text, self.lang)

    def verdict(self, verdict: Verdict) -> str:
        """Return the verdict as a reader says it."""
        return self(f"verdict.{verdict.name}")

    def area(self, area: str) -> str:
        """Return the name of an area; nothing if it is known by its code alone."""
        return self(f"area.{area}") if f"area.{area}" in table()["text"] else ""

    def area_of(self, metric: str) -> str:
        """Return the area that a metric belongs to, by the first word of its name."""
        return AREA_OF.get(metric.partition(".")[0], "OTHER")

    def probe(self, name: str) -> str:
        """Return what a reader calls a probe; load beside a workload is none that has a name of its own."""
        first, space, rest = name.partition(" ")
        return f"{self('probe.load')}{space}{rest}" if first == LOAD else name

    def indicator(self, row: Row) -> str:
        """Return id and name of the indicator of a row."""
        return " · ".join(filter(None, (row.indicator, self.pick(row.name_en, row.name_zh))))

    def explain(self, method: str) -> str:
        """Return what a method does, in a sentence or two; nothing for an unknown one."""
        return next((self.pick(*texts) for part, texts in table()["method"].items() if part in method), "")

    def difference(self, kind: str) -> str:
        """Return what a difference between runs is about."""
        return self(f"differ.{kind}")

    def glossary(self) -> list[tuple[str, str]]:
        """Return the terms of a report with their meaning."""
        return [(self.pick(*term["name"]), self.pick(*term["meaning"])) for term in table()["term"]]

    def pick(self, en: str, zh: str) -> str:
        """Return whichever of two texts suits the language."""
        return zh if self.lang == "zh" and zh else en


@cache
def table() -> dict[str, Any]:
    """Return words.toml."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
