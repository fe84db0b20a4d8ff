"""Run apache-otava on the histories of tests/support/histories.py and print its figures as JSON.

In an environment of its own, because Otava pins old versions of numpy and scipy (from the top of the repository):

    python3 -m venv /tmp/otava && /tmp/otava/bin/pip install apache-otava==0.8.0
    /tmp/otava/bin/python tests/statistics/otava_figures.py 2000 > tests/data/statistics/otava.json

`false_alarm` is the share of stable histories with any change point, `found` the share of stepped ones with a change
point within one of the true place.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from otava.analysis import compute_change_points

from tests.support.histories import KINDS, LENGTHS, STEP_LENGTH, STEPS, digest, stable, stepped


def indices(series):
    """Return the change points that Otava finds with its defaults (window 50, p 0.001)."""
    return [int(point.index) for point in compute_change_points([float(v) for v in series])[0]]


def false_alarms(kind, n, count):
    series = stable(kind, n, count)
    share = sum(bool(indices(row)) for row in series) / count
    return {"kind": kind, "n": n, "false_alarm": share, "digest": digest(series)}


def power(size, points, count):
    series, true = stepped(size, points, count), STEP_LENGTH - points
    share = sum(any(abs(i - true) <= 1 for i in indices(row)) for row in series) / count
    return {"size": size, "points": points, "found": share, "digest": digest(series)}


def main(count):
    figures = {
        "source": "apache-otava with its defaults, on the histories of tests/support/histories.py",
        "command": f"python tests/statistics/otava_figures.py {count} > tests/data/statistics/otava.json",
        "versions": {name: importlib.metadata.version(name) for name in ("apache-otava", "numpy", "scipy")},
        "count": count,
        "stable": [false_alarms(kind, n, count) for kind in KINDS for n in LENGTHS],
        "stepped": [power(size, points, count) for size, points in STEPS],
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(int(sys.argv[1]))
