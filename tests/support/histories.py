"""Commit histories made by rule: stable ones of several kinds, and one step at HEAD. Needs numpy alone.

The same series go to virtmark's segmentation and to apache-otava's, whose environment knows nothing of virtmark;
`digest` proves that they were the same. Level 100, standard deviation 10, so that no rule about small effects acts.
"""

import hashlib

import numpy as np

KINDS = ("white", "heavy", "ar3", "ar6")
LENGTHS = (30, 50, 100, 200)
STEPS = ((2, 3), (2, 5), (3, 3), (3, 5), (5, 3))  # size in standard deviations, points since the step
STEP_LENGTH = 60


def stable(kind, n, count):
    """Return stable histories of shape (count, n): white noise, 5 % heavy tails, AR(1) of 0.3 and 0.6."""
    rng = np.random.default_rng([KINDS.index(kind), n])
    noise = rng.normal(size=(count, n + 50))
    if kind == "heavy":
        noise = np.where(rng.random(noise.shape) < 0.05, 5 * rng.normal(size=noise.shape), noise)
    phi = {"ar3": 0.3, "ar6": 0.6}.get(kind, 0.0)
    for i in range(1, n + 50):
        noise[:, i] = phi * noise[:, i - 1] + np.sqrt(1 - phi**2) * noise[:, i]
    return 100 + 10 * noise[:, 50:]


def stepped(size, points, count):
    """Return histories of shape (count, 60) of white noise with a step of `size` at the last `points`."""
    rng = np.random.default_rng([9, size, points])
    y = 100 + 10 * rng.normal(size=(count, STEP_LENGTH))
    y[:, -points:] += 10 * size
    return y


def digest(series):
    """Return the first 12 hex digits of SHA-256 over the series, rounded to what any numpy agrees on."""
    return hashlib.sha256(np.round(series, 6).astype("<f8").tobytes()).hexdigest()[:12]
