"""Where an estimate comes from: the fields that every result carries, for estimates that are not made of run scores.

`estimates.dress` does the same for run scores, with checks on their shape that make no sense for one run or for counts.
"""

from __future__ import annotations

import math
from typing import Any

from harness.stats.estimates import CODE_VERSION, combine
from harness.stats.inputs import About, FloatArray, data_hash, policy_of, seed_from
from harness.stats.records import Estimate, revised


def with_provenance(found: Estimate, about: About, *data: FloatArray, **fields: Any) -> Estimate:
    """Return `found` with unit, direction, names, budget, hashes and seed filled in, and `fields` replaced.

    `data` are the arrays that the hash covers. Type B parts are those of `found`, those of `about`, and its resolution.
    """
    policy, name = policy_of(about), about.get("indicator_id", "")
    resolution, digest = about.get("resolution", found.resolution), data_hash(*data)
    parts = (("resolution", resolution / math.sqrt(12)),) if resolution else ()
    known = found.budget
    u_b = parts + (known.u_b if known else ()) + tuple(sorted(about.get("u_b", {}).items()))
    budget = combine(known.u_a if known else math.inf, known.dof_eff if known else 0.0, u_b, found.ci.confidence)
    common: dict[str, Any] = {
        "unit": about.get("unit", found.unit), "direction": about.get("direction", found.direction),
        "indicator_id": name, "measurand": about.get("measurand", found.measurand), "budget": budget,
        "resolution": resolution, "noise_floor": about.get("noise_floor"),
        "excluded": tuple(about.get("excluded", ())), "policy_hash": policy.hash, "data_hash": digest,
        "seed": found.seed or seed_from(policy, name, digest), "code_version": CODE_VERSION}
    return revised(found, **{**common, **fields})


__all__ = ["with_provenance"]
