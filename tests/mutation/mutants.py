"""The classic errors of statistics code, as text edits: where, what, by what, and which tests must notice.

`old` stands exactly once in its file; tests/mutation/test_mutants.py holds that, so the list cannot rot unnoticed.
"""

from typing import NamedTuple

UNIT = "tests/unit/stats/"


class Mutant(NamedTuple):
    """One edit to one file of harness/stats, and the test files that are run against it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _mutant(name, file, old, new, *tests):
    return Mutant(name, f"harness/stats/{file}", old, new, tuple(UNIT + test for test in tests))


SCORES, COMPARISON, RATIOS = "test_published_scores.py", "test_published_comparison.py", "test_ratios.py"

MUTANTS = [
    _mutant("ddof 0 instead of 1", "moments.py", "max(squares, 0.0) / (n - 1)", "max(squares, 0.0) / n", SCORES),
    _mutant("ddof 0 between levels", "hierarchy.py", "(means.size * (level.shape[-1] - 1))",
            "(means.size * level.shape[-1])", SCORES),
    _mutant("quantile of type 7 over runs", "scores.py",
            "float(ordered[max(math.ceil(Fraction(str(p)) * sample.n), 1) - 1])",
            "float(np.quantile(ordered, p))", SCORES),
    _mutant("quantile of type 7 in histograms", "ranks.py", 'math.ceil(share * n) if rule == "ceil"',
            'math.floor(share * (n - 1)) + 1 if rule == "ceil"', "test_percentiles.py"),
    _mutant("probe bias of +d", "outages.py", "(2 * inner + before + behind) / 2e9", "(inner + before + behind) / 1e9",
            "test_rare.py"),
    _mutant("pooled n", "inputs.py", "values.reshape(values.shape[0], -1).mean(axis=1) if values.ndim > 1",
            "values.ravel() if values.ndim > 1", "test_inputs.py"),
    _mutant("pooled data accepted without level names", "inputs.py", "if values.ndim > 1 and not levels:",
            "if values.ndim > 9 and not levels:", "test_inputs.py"),
    _mutant("one-sided t for two-sided", "scores.py",
            "half = t_quantile(n - 1, (1 + confidence) / 2) * sd / math.sqrt(n) if n > 1",
            "half = t_quantile(n - 1, confidence) * sd / math.sqrt(n) if n > 1", SCORES),
    _mutant("one-sided order statistics for two-sided", "scores.py", "tail = (1 - confidence) / 2 * (1 + 1e-12)",
            "tail = (1 - confidence) * (1 + 1e-12)", SCORES),
    _mutant("one-sided t for two-sided in pairs", "ratios.py",
            "half = t_quantile(dof, (1 + confidence) / 2) * se if dof > 0",
            "half = t_quantile(dof, confidence) * se if dof > 0", RATIOS),
    _mutant("flipped direction of an overhead", "ratios.py",
            "-1.0 if direction is Direction.HIGHER_IS_BETTER else 1.0",
            "1.0 if direction is Direction.HIGHER_IS_BETTER else -1.0", "test_estimates.py"),
    _mutant("flipped direction of a ranking", "ranking.py",
            "sign = -1 if direction is Direction.HIGHER_IS_BETTER else 1\n",
            "sign = 1 if direction is Direction.HIGHER_IS_BETTER else -1\n", "test_ranking.py"),
    _mutant("flipped direction of a verdict", "decision.py", '">=": (lo >= limit, hi < limit)',
            '">=": (hi < limit, lo >= limit)', "test_decision.py"),
    _mutant("flipped direction in a composite", "composite.py", "(-1 if down else 1)", "(1 if down else -1)",
            COMPARISON),
    _mutant("unpaired for paired", "ratios.py", "    mean, sd = mean_sd(np.sort(logs))\n",
            "    mean, sd = mean_sd(np.sort(logs))[0], math.hypot(mean_sd(np.log(first.values))[1],"
            " mean_sd(np.log(second.values))[1])\n", RATIOS),
    _mutant("pairs taken in another order", "ratios.py", "logs = np.log(first.values) - np.log(second.values)",
            "logs = np.log(first.values) - np.log(second.values)[::-1]", RATIOS),
    _mutant("permutation p without the + 1", "history.py", "(exceed + 1) / (done + 1)", "exceed / (done + 1)",
            "test_history.py"),
    _mutant("Holm without its monotone step", "multiple.py",
            "np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))",
            "values[order] * np.arange(values.size, 0, -1)", COMPARISON),
    _mutant("BCa without acceleration", "resampling.py", "z / (1 - a * z)", "z", "test_published_scores.py"),
    _mutant("zero width on constant data", "estimates.py", "if not ci.lo >= ci.hi:", "if not ci.lo > ci.hi:",
            "test_estimates.py"),
]
