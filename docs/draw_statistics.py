"""Draws the pictures of statistics.md from virtmark's own functions: `python docs/draw_statistics.py [--png DIR]`.

Every number in a picture is computed or simulated here, with fixed seeds; nothing is typed in. Takes about a minute.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import signal, stats

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from analysis.charts.style import ALARM, FAINT, INK, PALETTE, SOFT, VERDICTS, context  # noqa: E402
from harness.stats.decision import decide  # noqa: E402
from harness.stats.histograms import LatencyHistogram, hist_quantile_ci  # noqa: E402
from harness.stats.outages import outage_from_probes  # noqa: E402
from harness.stats.records import Requirement, StatsPolicy, Verdict  # noqa: E402
from harness.stats.scores import gm_ci, mean_ci, median_ci, order_indices  # noqa: E402
from harness.stats.series import series_mean_ci  # noqa: E402
from harness.stats.steady import steady_state  # noqa: E402

OURS, OTHER = PALETTE[0], ALARM
LOOSE = StatsPolicy(n_min=2)


def figure(width: float, height: float, columns: int, rows: int = 1, **grid: object) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row."""
    made = Figure(figsize=(width, height), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False, **grid)  # type: ignore[arg-type]
    return made, [ax for line in axes for ax in line]


def ar(rng: np.random.Generator, sets: int, n: int, phi: float) -> np.ndarray:
    """Return stationary AR(1) series of variance 1, shape (sets, n)."""
    noise = rng.normal(size=(sets, n)) * math.sqrt(1 - phi**2)
    noise[:, 0] /= math.sqrt(1 - phi**2)
    return signal.lfilter([1.0], [1.0, -phi], noise, axis=1)


def percent(share: float, _: object = None) -> str:
    """Return a share as text; also the form that axes ask for."""
    return f"{100 * share:.3g} %"


def limit(op: str, value: float) -> Requirement:
    """Return a limit without unit."""
    return Requirement(indicator_id="", op=op, limit=value, unit="1", source="drawing")


# --- coverage --------------------------------------------------------------------------------------------------------

def pooled_or_not(sets: int = 2000) -> tuple[float, float]:
    """Five boots of ten iterations, 3 % between and 2 % within: all 50 pooled, and one score per boot."""
    rng = np.random.default_rng(1)
    y = 100 + 3 * rng.normal(size=(sets, 5, 1)) + 2 * rng.normal(size=(sets, 5, 10))
    flat = y.reshape(sets, -1)
    half = stats.t.ppf(0.975, 49) * flat.std(axis=1, ddof=1) / math.sqrt(50)
    honest = [mean_ci(run, levels=("boot", "iteration")).ci for run in y]
    return float(np.mean(np.abs(flat.mean(axis=1) - 100) <= half)), inside(honest, 100)


def seconds_of_a_run(sets: int = 2000) -> tuple[float, float]:
    """The mean of 300 s at phi = 0.6: seconds taken for independent, and the wider of ESS-t and batch means."""
    y = ar(np.random.default_rng(2), sets, 300, 0.6)
    half = stats.t.ppf(0.975, 299) * y.std(axis=1, ddof=1) / math.sqrt(300)
    return float(np.mean(np.abs(y.mean(axis=1)) <= half)), inside([series_mean_ci(row, 1.0).ci for row in y], 0)


def requests_of_a_run(sets: int = 600) -> tuple[float, float]:
    """The median latency of 120 s x 50 requests around a level that wanders: independent, and 10 s blocks."""
    rng, plain, blocks = np.random.default_rng(3), 0, []
    lo, hi, _ = order_indices(6000, 0.5, 0.95)
    for level in ar(rng, sets, 120, 0.6):
        ns = np.exp(math.log(1e6) + 0.15 * level[:, None] + 0.3 * rng.normal(size=(120, 50))).astype(np.int64)
        ordered = np.sort(ns, axis=None)
        plain += int(ordered[lo - 1] <= 1e6 <= ordered[hi - 1])
        made = [LatencyHistogram.from_samples(part) for part in ns.reshape(12, -1)]
        blocks.append(hist_quantile_ci(made, 0.5, block_s=10.0, B=299).ci)
    return plain / sets, inside(blocks, 1e-3)


def inside(intervals: list, truth: float) -> float:
    """Return the share of intervals that hold the truth."""
    return float(np.mean([ci.lo <= truth <= ci.hi for ci in intervals]))


def by_size(sets: int = 2000) -> dict[str, list[tuple[int, float]]]:
    """Coverage of the three default intervals of run scores, lognormal with a sigma of 0.3."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in ("geometric mean, t on logs",
                                                                       "Hodges-Lehmann, signed rank",
                                                                       "median, order statistics")}
    for n in (3, 5, 6, 8, 10, 15, 20, 30):
        runs = [np.exp(0.3 * z) for z in np.random.default_rng(n).normal(size=(sets, n))]
        made = [gm_ci(x, policy=LOOSE) for x in runs]
        rows = [[e.ci for e in made]]
        if n >= 6:
            rows += [[e.sensitivity.ci for e in made if e.sensitivity], [median_ci(x).ci for x in runs]]
        for name, cis in zip(found, rows, strict=False):
            found[name].append((n, inside(cis, 1.0)))
    return found


def coverage() -> Figure:
    """Draw what intervals cover that say 95 %."""
    fig, (left, right) = figure(9.4, 3.1, 2, width_ratios=[1.15, 1])
    rows = {"50 iterations of 5 boots\n(boots differ by 3 %)": pooled_or_not(),
            "300 seconds of a run\n(neighbours correlate 0.6)": seconds_of_a_run(),
            "6000 requests of a run\n(median latency)": requests_of_a_run()}
    for at, (wrong, right_one) in enumerate(rows.values()):
        left.plot([wrong, right_one], [at, at], color=FAINT, linewidth=3, zorder=1)
        for value, colour, mark in ((wrong, OTHER, "s"), (right_one, OURS, "o")):
            left.plot(value, at, mark, color=colour, markersize=7, zorder=2)
            left.annotate(percent(round(value, 2)), (value, at), (0, 8), textcoords="offset points", ha="center",
                          color=colour, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    left.plot([], [], "s", color=OTHER, label="taken for independent")
    left.plot([], [], "o", color=OURS, label="as virtmark does it")
    left.set(yticks=range(3), yticklabels=rows, xlim=(0, 1.04), ylim=(3.1, -0.6),
             xlabel="share of intervals that hold the truth")
    left.set_title("Inner samples are no replicates", loc="left", weight="bold")
    left.legend(loc="lower left", fontsize=7.5, ncols=2)
    for (name, points), colour, mark in zip(by_size().items(), PALETTE, "o^D", strict=False):
        right.plot(*zip(*points, strict=True), marker=mark, color=colour, label=name, markersize=5)
    right.axhspan(0.94, 0.96, color=FAINT, alpha=0.5, linewidth=0)
    right.set(ylim=(0.90, 1.0), xlabel="runs on a fresh boot", xticks=(3, 5, 10, 15, 20, 30))
    right.set_title("Run scores: the defaults keep their word", loc="left", weight="bold")
    right.legend(loc="lower right", fontsize=7.5)
    for ax, line in ((left, left.axvline), (right, right.axhline)):
        line(0.95, color=INK, linewidth=0.8, linestyle=":")
        (ax.xaxis if ax is left else ax.yaxis).set_major_formatter(percent)
    return fig


# --- verdicts --------------------------------------------------------------------------------------------------------

def zones() -> Figure:
    """Draw which interval gives which verdict, with and without a guard band."""
    fig, (ax,) = figure(7.4, 2.5, 1)
    cases = [(106.0, 2.2, 0.0), (103.0, 1.6, 2.4), (101.2, 2.6, 0.0), (98.6, 2.4, 0.0), (94.0, 2.6, 0.0)]
    for at, (centre, half, u) in enumerate(cases):
        low, high = centre - half - u, centre + half + u
        verdict = Verdict.PASS if low >= 100 else Verdict.FAIL if high < 100 else Verdict.INCONCLUSIVE
        colour = VERDICTS[verdict][2]
        if u:
            ax.plot([low, high], [at, at], color=colour, linewidth=8, alpha=0.25, solid_capstyle="butt")
        ax.plot([centre - half, centre + half], [at, at], color=colour, linewidth=2.2)
        ax.plot(centre, at, VERDICTS[verdict][1], color=colour)
        ax.text(111.5, at, verdict.name + (" (guard band)" if u else ""), color=colour, va="center", weight="bold")
    ax.axvline(100, color=INK, linewidth=1)
    ax.text(100, -0.75, "limit: at least 100", ha="center", va="bottom")
    ax.set(ylim=(4.6, -0.8), xlim=(89, 111), yticks=[], xlabel="95 % interval of the indicator; pale: widened by the "
           "systematic uncertainty")
    ax.spines["left"].set_visible(False)
    return fig


@lru_cache
def passes(margin: float, n: int, cv: float) -> float:
    """Return the chance of PASS by the noncentral t, for a true margin on the log scale."""
    return float(stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, margin * math.sqrt(n) / cv))


def power() -> Figure:
    """Draw how often each verdict is reached; lines by theory, points by deciding 600 simulated campaigns."""
    fig, (left, right) = figure(9.4, 3.1, 2)
    margins = np.linspace(-0.02, 0.10, 121)
    for (n, cv), colour, mark in zip([(10, 0.02), (30, 0.05), (10, 0.05), (5, 0.05)], PALETTE, "os^D", strict=False):
        left.plot(margins, [passes(m, n, cv) for m in margins], color=colour, label=f"CV {percent(cv)}, {n} runs")
        at = (0.02, 0.05)
        left.plot(at, [simulated(m, n, cv)[0] for m in at], mark, color=colour, markersize=4.5)
    left.set(xlabel="true margin above the limit", ylabel="chance of PASS", ylim=(0, 1.02))
    left.set_title("What it takes to show a margin", loc="left", weight="bold")
    left.legend(loc="lower right", fontsize=7.5)
    wide = np.linspace(-0.10, 0.10, 201)
    good, bad = (np.array([passes(sign * m, 10, 0.05) for m in wide]) for sign in (1, -1))
    for verdict, low, high, at in ((Verdict.FAIL, 0 * wide, bad, -0.075), (Verdict.INCONCLUSIVE, bad, 1 - good, 0.0),
                                   (Verdict.PASS, 1 - good, 1 + 0 * wide, 0.075)):
        right.fill_between(wide, low, high, color=VERDICTS[verdict][2], alpha=0.25, linewidth=0)
        right.text(at, 0.5, verdict.name, ha="center", color=VERDICTS[verdict][2], weight="bold")
    right.set(xlabel="true margin above the limit", ylabel="chance of each verdict", ylim=(0, 1), xlim=(-0.1, 0.1),
              xticks=(-0.1, -0.05, 0, 0.05, 0.1))
    right.set_title("CV 5 %, 10 runs: at the limit 2.5 % err each way", loc="left", weight="bold")
    for ax in (left, right):
        ax.axvline(0, color=INK, linewidth=0.8, linestyle=":")
        ax.xaxis.set_major_formatter(percent)
        ax.yaxis.set_major_formatter(percent)
    return fig


def simulated(margin: float, n: int, cv: float, sets: int = 600) -> tuple[float, float]:
    """Return the shares of PASS and FAIL of `decide` for a limit that the truth exceeds by `margin` (log scale)."""
    z = np.random.default_rng([n, round(1000 * cv), round(1000 * margin)]).normal(0, cv, (sets, n))
    found = [decide(gm_ci(np.exp(row)), limit(">=", math.exp(-margin))).verdict for row in z]
    return tuple(float(np.mean([v is wanted for v in found])) for wanted in (Verdict.PASS, Verdict.FAIL))


def looks(sets: int = 20_000) -> Figure:
    """Draw what stopping at the first nice verdict does, the truth being the limit."""
    fig, (ax,) = figure(5.6, 2.7, 1)
    z = np.random.default_rng(9).normal(size=(sets, 30))
    plans = {"look after every run from 3 on": range(3, 31), "look at 10, 15, 20, 25, 30": (10, 15, 20, 25, 30)}
    for (name, plan), mark, colour in zip(plans.items(), "s^", (OTHER, PALETTE[4]), strict=True):
        ax.plot(*false_pass(z, plan, 1), marker=mark, markersize=4, label=name, color=colour)
    ax.plot(*false_pass(z, (10, 20, 30), 3), marker="o", label="virtmark: 3 planned looks, error split", color=OURS)
    ax.axhline(0.025, color=INK, linewidth=0.8, linestyle=":")
    ax.set(xlabel="runs so far", ylabel="false PASS", ylim=(0, 0.14))
    ax.yaxis.set_major_formatter(percent)
    ax.legend(loc="upper left", fontsize=7.5)
    return fig


def false_pass(z: np.ndarray, plan: range | tuple[int, ...], parts: int) -> tuple[list[int], list[float]]:
    """Return runs and the share that has passed so far, stopping at the first verdict, at each look of a plan."""
    done, wrong, shares = np.zeros(len(z), dtype=bool), np.zeros(len(z), dtype=bool), []
    for n in plan:
        part = z[:, :n]
        half = stats.t.ppf(1 - 0.025 / parts, n - 1) * part.std(axis=1, ddof=1) / math.sqrt(n)
        up, down = part.mean(axis=1) - half >= 0, part.mean(axis=1) + half < 0
        wrong |= ~done & up
        done |= up | down
        shares.append(float(wrong.mean()))
    return list(plan), shares


# --- probes and steady state -----------------------------------------------------------------------------------------

def probes(sets: int = 20_000) -> Figure:
    """Draw what probes see of an outage, and the error of three ways to read them."""
    fig, (left, right) = figure(9.4, 2.8, 2)
    begin, end = 2.65, 6.4
    left.axvspan(begin, end, color=FAINT, linewidth=0)
    for at in range(10):
        lost = begin <= at < end
        left.plot(at, 1, "X" if lost else "o", color=OTHER if lost else OURS, markersize=8)
    for y, (a, b, name) in enumerate([(2, 7, "last answer to first answer: (k+1) d"), (2.5, 6.5, "virtmark: k d"),
                                      (3, 6, "first loss to last loss: (k-1) d")]):
        left.annotate("", (a, 0.72 - 0.22 * y), (b, 0.72 - 0.22 * y), arrowprops={"arrowstyle": "<->", "shrinkA": 0,
                      "shrinkB": 0, "color": OURS if y == 1 else OTHER})
        left.text(7.15, 0.72 - 0.22 * y, name, va="center", fontsize=7.5, color=OURS if y == 1 else OTHER)
    left.text((begin + end) / 2, 1.22, "service away", ha="center", color=SOFT)
    left.set(xlim=(-0.4, 12.4), ylim=(0.1, 1.4), yticks=[], xticks=range(10), xlabel="probes, one every d")
    left.spines["left"].set_visible(False)
    errors = reading_errors(sets)
    for (name, values), colour, alpha in zip(errors.items(), (OTHER, OURS, PALETTE[4]), (0.35, 0.6, 0.35), strict=True):
        right.hist(values, bins=np.linspace(-2, 2, 81), density=True, color=colour, alpha=alpha)
        bias = f"{round(float(np.mean(values)), 2) + 0.0:+.2f} d"
        right.text(np.mean(values), 1.06, f"{name}\n{bias}", ha="center", color=colour, fontsize=7.5)
    right.axvline(0, ymax=0.78, color=INK, linewidth=0.8, linestyle=":")
    right.set(xlabel="estimate minus truth, in spacings d", yticks=[], ylim=(0, 1.3))
    right.spines["left"].set_visible(False)
    return fig


def reading_errors(sets: int) -> dict[str, np.ndarray]:
    """Return the errors of three readings in units of the spacing, outages of all lengths at all phases."""
    rng, d = np.random.default_rng(11), 10_000_000
    sent, found = np.arange(40, dtype=np.int64) * d, []
    for begin, length in zip(rng.uniform(5, 6, sets) * d, rng.uniform(2, 30, sets) * d, strict=True):
        (seen,) = outage_from_probes(sent, (sent < begin) | (sent >= begin + length), d)
        found.append([value * 1e9 / d - length / d for value in (seen.lo_s, seen.est_s, seen.hi_s)])
    return dict(zip(("first to last loss", "k d", "answer to answer"), np.array(found).T, strict=True))


def steady() -> Figure:
    """Draw six truths with what `steady_state` says of each."""
    fig, axes = figure(9.4, 4.0, 3, 2, sharex=True)
    t = np.arange(300)
    truths = {"flat": np.ones(300), "ramp of 20 s": 1 - 0.4 * np.exp(-t / 20),
              "ramp of 60 s": 1 - 0.4 * np.exp(-t / 60), "cliff at 60 s": np.where(t < 60, 1.6, 1.0),
              "drift of -10 %": 1 - 0.1 * t / 300, "two levels in turn": 1 + 0.15 * np.where((t // 75) % 2, 1, -1)}
    noise = ar(np.random.default_rng(12), 6, 300, 0.3)
    for ax, (name, level), z in zip(axes, truths.items(), noise, strict=True):
        y = 1000 * level * (1 + 0.03 * z)
        found = steady_state(y, 1.0, unit="1/s", policy=StatsPolicy(snia_round_s=10.0))
        colour = VERDICTS[Verdict.PASS if found.steady else Verdict.FAIL][2]
        ax.plot(t, y, color=SOFT, linewidth=0.6)
        for part in found.segments:
            ax.plot([part.start, part.end], [part.mean] * 2, color=INK, linewidth=1.4)
        if found.steady:
            ax.axvspan(found.start_s, 300, color=colour, alpha=0.12, linewidth=0)
        broken = ", ".join(c.name for c in found.checks if c.passed is False)
        ax.set_title(f"{name}: {found.kind}" + (f" ({broken})" if broken else ""), loc="left", color=colour, fontsize=8)
        ax.set(ylim=(0, None), xlim=(0, 300))
    for ax in axes[3:]:
        ax.set_xlabel("time in s")
    return fig


PICTURES: dict[str, Callable[[], Figure]] = {
    "coverage": coverage, "zones": zones, "power": power, "looks": looks, "probes": probes, "steady": steady}


def main() -> None:
    """Draw every picture, or those named, as SVG into docs/img; with --png also as PNG to look at."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], help="pictures to draw; all by default")
    parser.add_argument("--png", type=Path, help="folder for PNG copies")
    wanted = parser.parse_args()
    (HERE / "img").mkdir(exist_ok=True)
    for name in wanted.names or PICTURES:
        with context():
            drawn = PICTURES[name]()
            drawn.savefig(HERE / f"img/statistics-{name}.svg", metadata={"Date": None})
            if wanted.png:
                drawn.savefig(wanted.png / f"{name}.png", dpi=130)


if __name__ == "__main__":
    main()
