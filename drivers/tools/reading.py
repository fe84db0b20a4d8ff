"""Reading what tools print: JSON between other text, tokens that are no JSON, output that was cut short.

The one thing to know: nothing is repaired silently. What can be read in spite of a blemish comes with a note, and the
notes travel as the label `note` of every series made from it; everything else is a ToolError that says what is wrong.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import ToolError
from harness.model import Series

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[-+]?\b(?:nan|inf(?:inity)?)\b', re.IGNORECASE)
_OPENING = re.compile(r"^[ \t]*\{", re.MULTILINE)


@dataclass(frozen=True)
class Ambiguous:
    """A key that stood several times in one object with different values: harmless until somebody asks for it."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Document:
    """One JSON object that `tool` printed, and what was odd about it."""

    tool: str
    data: dict[str, Any]
    notes: tuple[str, ...] = ()

    def at(self, *path: str | int) -> Any:
        """Return what stands at `path`; ToolError names the first part that is missing or stands there twice."""
        value: Any = self.data
        for depth, part in enumerate(path):
            where = ".".join(map(str, path[:depth + 1]))
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                raise ToolError(f"{self.tool}: {where}: is missing in its JSON") from None
            if isinstance(value, Ambiguous):
                raise ToolError(f"{self.tool}: {where}: stands {len(value.values)} times with different values")
        return value

    def number(self, *path: str | int) -> float:
        """Return the finite number at `path`; a nan that was read as null is refused here."""
        value = self.at(*path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ToolError(f"{self.tool}: {'.'.join(map(str, path))}: {str(value)[:40]} is no finite number")
        return float(value)


def document(text: str, tool: str) -> Document:
    """Find and decode the one JSON object in `text`."""
    if not text.strip():
        raise ToolError(f"{tool}: printed nothing; one JSON document is expected")
    opening = _OPENING.search(text)
    if not opening:
        raise ToolError(f"{tool}: printed no JSON but {complaint(text)!r}")
    body, notes = text[opening.start():], []
    if before := complaint(text[:opening.start()]):
        notes.append(f"text before the JSON: {before}")
    body, replaced = _without_nan(body)
    if replaced:
        notes.append(f"{replaced} numbers were nan or inf")
    twice: list[str] = []
    data, end = _decode(body, tool, twice)
    if twice:
        notes.append(f"keys that stand twice with different values: {', '.join(sorted(set(twice)))[:80]}")
    rest = body[end:]
    if _OPENING.search(rest):
        raise ToolError(f"{tool}: printed several JSON documents; one is expected")
    if after := complaint(rest):
        notes.append(f"text after the JSON: {after}")
    return Document(tool, data, tuple(notes))


def complaint(text: str) -> str:
    """Return the first line that says something, at most 160 characters of it; errors go before other text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|fatal|fail|cannot|unable|terminat", line, re.IGNORECASE)]
    return (telling or lines or [""])[0][:160]


def found(pattern: str, text: str, tool: str, what: str) -> float:
    """Return the number in the only group of `pattern`; ToolError says which value is missing and what stands there."""
    if not text.strip():
        raise ToolError(f"{tool}: printed nothing; {what} is expected")
    match = re.search(pattern, text, re.MULTILINE)
    if not match:
        raise ToolError(f"{tool}: printed no {what}; it said {complaint(text)!r}")
    value = float(match[1])
    if not math.isfinite(value):
        raise ToolError(f"{tool}: {what}: {match[1]} is no finite number")
    return value


def one(metric: str, unit: str, value: float, **labels: str) -> Series:
    """Return the series of a single value."""
    return Series(metric=metric, unit=unit, values=(value,), labels=labels)


def noted(series: Iterable[Series], notes: tuple[str, ...]) -> list[Series]:
    """Return `series`, each with the notes as a label, if there are any."""
    import msgspec

    mark = {"note": "; ".join(notes)} if notes else {}
    return [msgspec.structs.replace(each, labels={**each.labels, **mark}) for each in series]


def _without_nan(text: str) -> tuple[str, int]:
    count = 0

    def swap(match: re.Match[str]) -> str:
        nonlocal count
        if match[0].startswith('"'):
            return match[0]
        count += 1
        return "null"

    return (_TOKEN.sub(swap, text), count) if re.search(r"[-+:\s]nan|[-+:\s]inf", text, re.IGNORECASE) else (text, 0)


def _decode(text: str, tool: str, twice: list[str]) -> tuple[dict[str, Any], int]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if key in made and made[key] != value:
                earlier = made[key].values if isinstance(made[key], Ambiguous) else (made[key],)
                value = Ambiguous((*earlier, value))
                twice.append(key)
            made[key] = value
        return made

    start = len(text) - len(text.lstrip())
    try:
        return json.JSONDecoder(object_pairs_hook=pairs, strict=False).raw_decode(text, start)
    except json.JSONDecodeError as error:
        rest = text[error.pos:].strip()
        if error.msg.startswith("Unterminated") or (len(rest) <= 5 and "}" not in rest):
            raise ToolError(f"{tool}: output breaks off after {len(text)} characters, inside its JSON; it was killed, "
                            "or the disk is full") from None
        raise ToolError(f"{tool}: line {error.lineno} of its JSON cannot be read: {error.msg}") from None
    except RecursionError:
        raise ToolError(f"{tool}: its JSON is nested too deeply") from None
