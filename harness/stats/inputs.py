"""What goes in: scores are checked here, hashed, and reduced to one value per replicate.

A 1-D array holds one score per run, the statistical replicate. Data with inner levels (iterations in a boot,
seconds in a run) are refused until the levels are named; then they are reduced to top-level means, because
pooling them makes a nominal 95 % interval cover 50 %.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from harness.stats.records import DEFAULT_POLICY, Direction, StatsPolicy

FloatArray = npt.NDArray[np.float64]


class Common(TypedDict, total=False):
    """Keywords that every estimating function takes, the direction apart.

    `levels` names the dimensions of the data from high to low, ("boot", "iteration"); `groups` gives the top-level
    label of each value of flat data. `resolution` is the step of the instrument in the unit of the data, `u_b`
    further Type B standard uncertainties by name, in the unit of the estimate. `confidence` overrides the policy's.
    """

    unit: str
    indicator_id: str
    measurand: str
    resolution: float
    u_b: Mapping[str, float]
    noise_floor: float | None
    excluded: Sequence[tuple[int, str]]
    policy: StatsPolicy
    confidence: float
    levels: Sequence[str]
    groups: Sequence[object]


class About(Common, total=False):
    """Keywords that every estimating function takes; which way is good among them."""

    direction: Direction


_KEYWORDS = About.__optional_keys__


@dataclass(frozen=True)
class Sample:
    """Checked scores of shape (n,), one per top-level replicate, in the order given."""

    values: FloatArray
    n_by_level: dict[str, int]
    data_hash: str
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return int(self.values.size)


def policy_of(about: Common) -> StatsPolicy:
    """Return the policy in force: the caller's, with its confidence replaced where one is given.

    TypeError on a keyword that no estimating function knows: a misspelt `unit` must not pass unnoticed.
    """
    if unknown := about.keys() - _KEYWORDS:
        raise TypeError(f"unknown keyword {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(_KEYWORDS))}")
    policy = about.get("policy", DEFAULT_POLICY)
    if "confidence" not in about:
        return policy
    confidence = about["confidence"]
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence: {confidence} is not in [0.5, 1); 0.95 is two-sided 95 %")
    return dataclasses.replace(policy, confidence=confidence)


def array(x: npt.ArrayLike, where: str = "x", *, infinite: bool = False) -> FloatArray:
    """Return `x` as a float64 array of any shape; NaN, masks, text, empty and (unless `infinite`) inf are refused."""
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(f"{where}: masked values; leave out what was not measured, a mask is not an answer")
    try:
        raw = np.asarray(x)
    except ValueError:
        raise ValueError(f"{where}: rows of unequal length; name the levels, levels=('boot', 'iteration')") from None
    if raw.dtype.kind not in "iufO":
        raise ValueError(f"{where}: {raw.dtype} is no number; real numbers are allowed")
    try:
        values = np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: not all real numbers ({error})") from None
    if values.size == 0:
        raise ValueError(f"{where}: empty; at least one score is needed")
    with np.errstate(all="ignore"):
        if math.isfinite(values.sum()):     # then so is each of them; else it may only have been too much
            return values
    if np.isnan(values).any():
        raise ValueError(f"{where}: NaN at index {int(np.isnan(values).ravel().argmax())}; a failed run is no number")
    if np.isneginf(values).any() or (not infinite and np.isinf(values).any()):
        allowed = "+inf (never recovered) is" if infinite else "finite numbers are"
        raise ValueError(f"{where}: infinite; only {allowed} allowed here")
    return values


def scores(x: npt.ArrayLike, where: str = "x", *, about: Common | None = None, positive: bool = False,
           infinite: bool = False) -> Sample:
    """Check run scores and reduce named inner levels to top-level means.

    Raises ValueError on NaN, on several dimensions or repeated group labels without `levels`, on mixed units, and
    with `positive` on values <= 0 (there is no logarithm of zero, and no "+1" that would not change the answer).
    """
    about = about or Common()
    _one_unit(x, where, about.get("unit"))
    levels = tuple(about.get("levels", ()))
    values, counts, warnings = _top_level(x, where, levels, about.get("groups"), infinite)
    if positive and (values <= 0).any():
        raise ValueError(f"{where}: {values.min():g} is not above zero; a ratio scale needs positive scores")
    values.setflags(write=False)
    return Sample(values, counts, data_hash(values), warnings)


def both(x: Sample, y: Sample) -> Sample:
    """Return two independent samples as one record: values x then y, counts by name, one hash."""
    return Sample(np.concatenate([x.values, y.values]), {"x": x.n, "y": y.n}, data_hash(x.values, y.values),
                  x.warnings + y.warnings)


def data_hash(*arrays: FloatArray) -> str:
    """Return the first 16 hex digits of SHA-256 over the bytes of the arrays in the order given."""
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(str(values.shape).encode())
        digest.update((values + 0.0).astype("<f8", copy=False).tobytes())  # + 0.0: a negative zero is a zero
    return digest.hexdigest()[:16]


def seed_of(policy: StatsPolicy, indicator_id: str, *arrays: FloatArray) -> int:
    """Return the seed that belongs to a policy, an indicator and data: the first 8 bytes of their SHA-256."""
    return seed_from(policy, indicator_id, data_hash(*arrays))


def seed_from(policy: StatsPolicy, indicator_id: str, digest: str) -> int:
    """Return the seed for data whose hash is known already."""
    text = f"{policy.hash}\n{indicator_id}\n{digest}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _top_level(x: npt.ArrayLike, where: str, levels: tuple[str, ...], groups: Sequence[object] | None,
               infinite: bool) -> tuple[FloatArray, dict[str, int], tuple[str, ...]]:
    if groups is not None:
        return _grouped(array(x, where, infinite=infinite), where, levels, groups)
    if len(levels) == 2 and _ragged(x):
        rows: Any = x
        sizes = [len(row) for row in rows]
        means = np.array([float(array(row, f"{where}[{i}]", infinite=infinite).mean()) for i, row in enumerate(rows)])
        return means, {levels[0]: len(rows), levels[1]: min(sizes)}, ("unbalanced: runs have unequal inner samples",)
    values = array(x, where, infinite=infinite)
    values = values.reshape(1) if values.ndim == 0 else values
    if values.ndim > 1 and not levels:
        raise ValueError(f"{where}: {values.ndim} dimensions without level names; pooled inner samples are no"
                         " replicates, name them from high to low, levels=('boot', 'iteration')")
    if levels and len(levels) != values.ndim:
        raise ValueError(f"{where}: {values.ndim} dimensions but {len(levels)} levels {levels}; one name for each")
    counts = dict(zip(levels or ("run",), values.shape, strict=True))
    means = values.reshape(values.shape[0], -1).mean(axis=1) if values.ndim > 1 else values.copy()
    return means, counts, ()


def _grouped(values: FloatArray, where: str, levels: tuple[str, ...], groups: Sequence[object]) -> tuple[
        FloatArray, dict[str, int], tuple[str, ...]]:
    if values.ndim != 1 or len(groups) != values.size:
        raise ValueError(f"{where}: {len(groups)} group labels for data of shape {values.shape}; one label per value")
    rows: dict[object, list[float]] = {}
    for label, value in zip(groups, values.tolist(), strict=True):
        rows.setdefault(label, []).append(value)
    sizes = {len(row) for row in rows.values()}
    if sizes == {1} and len(levels) <= 1:
        return values.copy(), {(levels or ("run",))[0]: values.size}, ()
    if len(levels) != 2:
        raise ValueError(f"{where}: several values under one label; name the levels, levels=('boot', 'iteration')")
    means = np.array([float(np.mean(row)) for row in rows.values()])
    warnings = () if len(sizes) == 1 else ("unbalanced: runs have unequal inner samples",)
    return means, {levels[0]: len(rows), levels[1]: min(sizes)}, warnings


def _ragged(x: object) -> bool:
    if isinstance(x, np.ndarray) or not isinstance(x, Sequence):
        return False
    return len({len(row) for row in x if isinstance(row, Sequence | np.ndarray)}) > 1


def same_unit(*samples: object) -> None:
    """Refuse samples that are quantities of several units; plain numbers say nothing and pass."""
    _one_unit([v for x in samples if isinstance(x, list | tuple) for v in x], "samples", None)


def _one_unit(x: object, where: str, unit: str | None) -> None:
    """Refuse quantities (floats that know their base unit) of several units, or of another unit than stated."""
    if not isinstance(x, list | tuple):
        return
    bases = {base for v in x if isinstance(base := getattr(type(v), "base", None), str)}
    units = bases | ({unit} if unit and bases else set())
    if len(units) > 1:
        raise ValueError(f"{where}: mixed units {', '.join(sorted(units))}; one is allowed")
