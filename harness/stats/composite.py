"""One number for many workloads: the weighted geometric mean of ratios to a named, fixed reference.

The order of two products under it does not depend on the reference. A missing component leaves it undefined, never
"the mean of what is left".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar, Unpack

import numpy as np

from harness.stats.estimates import bare
from harness.stats.inputs import About, FloatArray, policy_of
from harness.stats.moments import t_quantile
from harness.stats.provenance import with_provenance
from harness.stats.records import Direction, Estimate, Interval, Scale

Component = Estimate | float | None
T = TypeVar("T")


class _Part(NamedTuple):
    """One component on the log scale: its ratio, Type A and Type B relative uncertainties, degrees of freedom, runs."""

    log_ratio: float
    u_a: float
    u_b: float
    dof: float
    n: int


def composite_gm(estimates: Mapping[str, Component] | Sequence[Component],
                 weights: Mapping[str, float] | Sequence[float] | None = None,
                 reference: Mapping[str, float] | Sequence[float] | None = None, **about: Unpack[About]) -> Estimate:
    """Return exp(sum w ln r / sum w) over the components' ratios r to the reference, unit 1, with its interval.

    All three by component name, or all as lists in one order.

    With a reference, a component that is better lower counts as reference / value, and the composite is better
    higher; plain numbers count as value / reference. Without one, the components must be ratios already (unit 1, one
    direction). A component that is None, or missing in weights, reference or estimates, makes the composite undefined:
    ValueError. se = sqrt(sum w^2 v), degrees of freedom after Welch-Satterthwaite.
    """
    components, by_weight, base = _named(estimates), _named(weights), _named(reference)
    names = _complete(components or {}, by_weight, base)
    values = [components[name] for name in names] if components else []
    direction = _direction(values, base)
    w = _shares([1.0 if by_weight is None else by_weight[name] for name in names])
    parts = [_part(name, v, None if base is None else base[name]) for name, v in zip(names, values, strict=True)]
    mean = math.fsum(share * part.log_ratio for share, part in zip(w.tolist(), parts, strict=True))
    u, dof = _combined(w, parts)
    half = t_quantile(dof, (1 + policy_of(about).confidence) / 2) * u if dof > 0 else math.inf
    interval = Interval(math.exp(mean - half) if half < math.inf else 0.0,
                        math.exp(mean + half) if half < math.inf else math.inf, policy_of(about).confidence)
    logs = np.array([part.log_ratio for part in parts])
    spread = float(logs.std(ddof=1)) if logs.size > 1 else 0.0
    u_b = math.exp(mean) * math.sqrt(sum((share * part.u_b) ** 2 for share, part in zip(w, parts, strict=True)))
    keywords = About(**about)
    keywords["u_b"] = {**about.get("u_b", {}), **({"components": u_b} if u_b else {})}
    found = bare(math.exp(mean), interval, dof=dof, scale=Scale.LOG, dispersion=spread, cv=spread, direction=direction,
                 method="weighted geometric mean, Welch-Satterthwaite", estimand="geometric mean of ratios",
                 warnings=() if dof > 0 else ("no_interval: a component has no uncertainty of its own",))
    return with_provenance(found, keywords, logs, w, n=min(part.n for part in parts),
                           n_by_level={name: part.n for name, part in zip(names, parts, strict=True)})


def _named(values: Mapping[str, T] | Sequence[T] | None) -> dict[str, T] | None:
    if values is None:
        return None
    return dict(values) if isinstance(values, Mapping) else {str(i + 1): v for i, v in enumerate(values)}


def _complete(estimates: Mapping[str, Component], *others: Mapping[str, float] | None) -> list[str]:
    names = list(dict.fromkeys([*estimates, *(name for other in others if other is not None for name in other)]))
    missing = [name for name in names if estimates.get(name) is None
               or any(other is not None and name not in other for other in others)]
    if missing or not names:
        raise ValueError(f"composite_gm: undefined, {', '.join(missing) or 'every component'} missing;"
                         " each component needs a value, a weight and a reference")
    return names


def _direction(parts: Sequence[Component], reference: Mapping[str, float] | None) -> Direction:
    known = [part for part in parts if isinstance(part, Estimate)]
    if reference is not None:
        return Direction.HIGHER_IS_BETTER
    units, ways = {part.unit for part in known}, {part.direction for part in known}
    if units - {"1"} or len(ways) > 1:
        raise ValueError(f"composite_gm: mixed units {sorted(units)} or directions {sorted(ways)}; without a reference"
                         " only ratios of one direction can be combined")
    return ways.pop() if ways else Direction.TARGET


def _shares(weights: Sequence[float]) -> FloatArray:
    w = np.array(weights, dtype=np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise ValueError(f"weights: {list(weights)}; finite weights of at least 0, not all 0, are allowed")
    shares: FloatArray = w / w.sum()
    return shares


def _part(name: str, component: Component, reference: float | None) -> _Part:
    value = component.estimate if isinstance(component, Estimate) else component
    base = 1.0 if reference is None else reference
    if value is None or not (0 < value < math.inf and 0 < base < math.inf):
        raise ValueError(f"composite_gm: {name}: value {value}, reference {base}; both must be positive")
    down = reference is not None and isinstance(component, Estimate) and (
        component.direction is Direction.LOWER_IS_BETTER)
    log_ratio = math.log(value / base) * (-1 if down else 1)
    budget = component.budget if isinstance(component, Estimate) else None
    if not isinstance(component, Estimate) or budget is None or not math.isfinite(budget.u_a):
        return _Part(log_ratio, math.inf, 0.0, 0.0, component.n if isinstance(component, Estimate) else 1)
    dof = budget.dof_eff * (budget.u_a / budget.u_c) ** 4 if budget.u_a else math.inf
    return _Part(log_ratio, budget.u_a / value, math.sqrt(sum(u**2 for _, u in budget.u_b)) / value, dof, component.n)


def _combined(w: FloatArray, parts: Sequence[_Part]) -> tuple[float, float]:
    """Return the standard uncertainty of the weighted mean of logs and its degrees of freedom (0: unknown)."""
    if any(math.isinf(part.u_a) for part in parts):
        return math.inf, 0.0
    squares = [(share * part.u_a) ** 2 for share, part in zip(w.tolist(), parts, strict=True)]
    below = sum(square**2 / part.dof for square, part in zip(squares, parts, strict=True) if square)
    return math.sqrt(sum(squares)), sum(squares) ** 2 / below if below else math.inf
