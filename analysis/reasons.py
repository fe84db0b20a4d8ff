"""Reasons, warnings and notes in the reader's language: they are written in English where they arise.

The one thing to know: reasons.toml holds English sentences with {names} for what varies, each with its Chinese; a
sentence that fits none of them (a tool's own words, a user's) stays as it is. {*name} is itself such a sentence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from analysis.rows import Material, Row
from harness.stats.records import Check

ONE = r"(?!caution: )(?:(?!; ).)+?"     # what stands in a place is no two sentences, and none that is only introduced
_PLACE = re.compile(r"\{(\*?)(\w+)\}")


def said(text: str, lang: str) -> str:
    """Return a sentence in a language, as it is where that language has none for it."""
    return _chinese(text) if lang == "zh" else text


def spoken(material: Material, lang: str) -> Material:
    """Return what a report is made of with all that findings say in a language; numbers and names stay."""
    if lang != "zh":
        return material
    return msgspec.structs.replace(material, rows=tuple(_row(row, lang) for row in material.rows))


def _row(row: Row, lang: str) -> Row:
    return msgspec.structs.replace(
        row, source=said(row.source, lang), reasons=tuple(said(text, lang) for text in row.reasons),
        warnings=tuple(said(text, lang) for text in row.warnings),
        gates=tuple(_check(check, lang) for check in row.gates),
        checks=tuple(_check(check, lang) for check in row.checks))


def _check(check: Check, lang: str) -> Check:
    return replace(check, name=said(check.name, lang), note=said(check.note, lang))


def known(text: str) -> bool:
    """Return whether a sentence is in the table."""
    return _found(text) is not None


@cache
def _table() -> list[tuple[re.Pattern[str], str]]:
    """Return patterns and texts, those with the longest fixed part first, so that the closest fits."""
    pairs = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["said"]
    ordered = sorted(pairs.items(), key=lambda pair: -len(_PLACE.sub("", pair[0])))
    return [(re.compile(_pattern(english)), chinese) for english, chinese in ordered]


def _pattern(english: str) -> str:
    """Return a regular expression with one group for each place."""
    parts = _PLACE.split(english)
    fixed, stars, places = parts[::3], parts[1::3], parts[2::3]
    groups = [f"(?P<{place}>{'.+?' if star else ONE})" for star, place in zip(stars, places, strict=True)]
    return "".join(re.escape(text) + group for text, group in zip(fixed, [*groups, ""], strict=True))


@cache
def _found(text: str) -> tuple[re.Match[str], str] | None:
    for pattern, chinese in _table():
        if match := pattern.fullmatch(text):
            return match, chinese
    return None


def _chinese(text: str) -> str:
    if found := _found(text):
        match, chinese = found
        return _PLACE.sub(lambda place: _chinese(match[place[2]]) if place[1] else match[place[2]], chinese)
    parts = text.split("; ")
    if len(parts) > 1:
        return "；".join(_each(parts))
    whose, colon, rest = text.partition(": ")
    return f"{whose}：{_chinese(rest)}" if colon and known(rest) else text


def _each(parts: list[str]) -> Iterator[str]:
    """Yield sentences that stand behind each other, each by itself; one may have a semicolon of its own."""
    while parts:
        whole = next((end for end in range(len(parts), 0, -1) if known("; ".join(parts[:end]))), 0)
        yield _chinese("; ".join(parts[:whole])) if whole else parts[0]
        parts = parts[whole or 1:]


__all__ = ["known", "said"]
