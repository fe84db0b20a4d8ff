"""Phoronix Test Suite 8 to 10: composite.xml of a saved result, one test with its options a point.

The one thing to know: it repeats a test inside one file until the spread suits it, and its own number is their mean;
here the score is their median, one round a file. A file that holds several systems is several runs: `--set system=NAME`
picks one. Only results that are one number are read, no graphs of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar
from xml.etree import ElementTree

from drivers.imports._measured import Measured, general, number, seconds
from drivers.imports._units import in_units
from harness.errors import ToolError
from harness.model import Value

TOOL = "phoronix"
OLDEST, NEWEST = 8, 10
BETTER = {"HIB": "higher", "LIB": "lower"}
SINGLE = ("BAR_GRAPH", "HORIZONTAL_BAR_GRAPH", "")


class Phoronix:
    """Reads composite.xml."""

    EXPECTED: ClassVar[str] = "composite.xml of Phoronix Test Suite 8 to 10"
    OPTIONS: ClassVar[tuple[str, ...]] = ("system",)

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return the result of each test of one system."""
        root = _root(text)
        version = _version(root)
        name, system = _system(root, str(settings.get("system", "")))
        facts = {"system": name} | {key: said for key in ("Hardware", "Software") if (said := _text(system, key))}
        started = seconds(_text(system, "TimeStamp"))
        found = [each for result in root.findall("Result") for each in _one(result, name, version, started, facts)]
        if not found:
            raise ToolError(f"{TOOL}: no result that is one number, of system {name!r}")
        return found


def _one(result: ElementTree.Element, system: str, version: str, started: float,
         facts: Mapping[str, str]) -> list[Measured]:
    test, title = _text(result, "Identifier"), _text(result, "Title")
    if _text(result, "DisplayFormat") not in SINGLE:
        return []
    entries = [each for each in result.findall("Data/Entry") if _text(each, "Identifier") == system]
    if not entries:
        return []
    raw = _text(entries[0], "RawString").split(":") if _text(entries[0], "RawString") else []
    values = [number(each, TOOL, f"{test}: RawString") for each in raw] or [
        number(_text(entries[0], "Value"), TOOL, f"{test}: Value")]
    way = _text(result, "Proportion")
    if way not in BETTER:
        raise ToolError(f"{TOOL}: {test}: Proportion {way!r}; {' and '.join(BETTER)} are known")
    described = _text(result, "Description")
    params: dict[str, Value] = {"test": test, "arguments": _text(result, "Arguments"),
                                "app": _text(result, "AppVersion")}
    return [general(TOOL, f"{title} {described}".strip(), in_units(values, _text(result, "Scale"), BETTER[way]),
                    params=params, version=version, started=started, facts=facts)]


def _root(text: str) -> ElementTree.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ToolError(f"{TOOL}: declares a document type; its own files have none")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ToolError(f"{TOOL}: is no whole XML: {error}") from None
    if root.tag != "PhoronixTestSuite":
        raise ToolError(f"{TOOL}: the XML is one of {root.tag!r}")
    if root.find("Result") is None:
        raise ToolError(f"{TOOL}: no Result in its XML")
    return root


def _version(root: ElementTree.Element) -> str:
    said = root.findtext("Generated/TestClient") or root.findtext("System/TestClientVersion") or ""
    found = re.search(r"(\d+)\.\d[\w.]*", said)
    if not found or not OLDEST <= int(found[1]) <= NEWEST:
        raise ToolError(f"{TOOL}: {f'output of {said[:60]!r}' if said else 'no version in its XML'}")
    return found[0]


def _system(root: ElementTree.Element, wanted: str) -> tuple[str, ElementTree.Element]:
    systems = {_text(each, "Identifier"): each for each in root.findall("System")}
    if not systems:
        raise ToolError(f"{TOOL}: no System in its XML")
    if wanted and wanted not in systems:
        raise ToolError(f"{TOOL}: no system {wanted!r}; there are: {', '.join(systems)}")
    if not wanted and len(systems) > 1:
        raise ToolError(f"{TOOL}: holds {len(systems)} systems, {', '.join(systems)}; choose one by --set system=NAME")
    name = wanted or next(iter(systems))
    return name, systems[name]


def _text(node: ElementTree.Element, name: str) -> str:
    return (node.findtext(name) or "").strip()
