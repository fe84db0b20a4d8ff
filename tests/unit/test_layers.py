"""Imports point downwards; this file is the only place where the order is written."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = [
    {"harness.errors", "harness.clock", "harness.stats"},
    {"harness.units"},
    {"harness.model"},
    {"harness.codec", "harness.protocols", "harness.registry", "harness.history", "harness.integrity",
     "harness.ledger", "harness.standard"},
    {"harness.probing", "harness.load"},
    {"harness.indicators", "harness.background", "harness.scenario", "harness.plan", "harness.store",
     "harness.fingerprint", "harness.telemetry", "harness.evidence", "harness.masking", "harness.progress",
     "harness.tools", "harness.surroundings", "harness.rounds", "harness.interrupts"},
    {"harness.validity", "harness.doctor", "harness.attempt", "harness.cells", "harness.attestation",
     "harness.comparability"},
    {"harness.profile", "harness.verdict", "harness.runner", "harness.preflight", "harness.extension",
     "harness.schema", "harness.assessment", "harness.bundle", "harness.comparison", "harness.regression"},
    {"drivers", "analysis"},
    {"harness.cli", "harness.__main__"},
]
HIDDEN = [("drivers", "analysis"),
          ("analysis", "drivers"), ("drivers", "harness.runner"), ("analysis", "harness.runner"),
          ("harness", "drivers"), ("harness", "analysis")]
WIRES = ("harness.cli", "harness.__main__")


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def rank(name: str) -> int:
    hits = [(len(known), level) for level, group in enumerate(LAYERS) for known in group if within(name, known)]
    return max(hits)[1] if hits else -1


def edges():
    for path in sorted(p for top in ("harness", "drivers", "analysis") for p in (ROOT / top).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    yield name, f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield name, alias.name


OURS = [(a, b) for a, b in edges() if b.split(".")[0] in ("harness", "drivers", "analysis")]


def test_every_module_has_a_layer():
    assert sorted({a for a, _ in OURS if rank(a) < 0} - {"harness"}) == []


def test_imports_point_downwards():
    assert [(a, b) for a, b in OURS if rank(b) > rank(a)] == []


def test_hidden_pairs():
    wrong = [(a, b) for a, b in OURS for x, y in HIDDEN
             if within(a, x) and within(b, y) and not any(within(a, w) for w in WIRES)]
    assert wrong == []
