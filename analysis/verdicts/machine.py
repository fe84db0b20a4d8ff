"""Gates and histories as JSON for machines: the records as they are, with the shares that people read beside them."""

from __future__ import annotations

import json
from typing import Any

from harness import codec
from harness.regression import Change, Gated
from harness.regression.history import Histories


def gate_json(gated: Gated) -> str:
    """Return the gate: exit code, counts, and every change; infinite numbers are "inf" and "-inf"."""
    whole = codec.plain(gated) | {"exit_code": gated.exit_code, "tested": gated.tested,
                                  "counts": {str(name): number for name, number in gated.counts.items()},
                                  "changes": [_change(change) for change in gated.changes]}
    return _text(whole)


def history_json(histories: Histories) -> str:
    """Return the histories: exit code, every series with its points and changes."""
    return _text(codec.plain(histories) | {"exit_code": histories.exit_code})


def _change(change: Change) -> dict[str, Any]:
    """Return a change; `loss` and `ratio` are (estimate, low, high)."""
    derived = {"loss": change.loss, "ratio": change.ratio} if change.contrast else {}
    found: dict[str, Any] = codec.plain(change) | codec.plain(derived)
    return found


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
