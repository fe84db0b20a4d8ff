"""Numbers that other tools measured and that no workload of virtmark has an indicator for: general ones.

The one thing to know: a row takes the steps whose parameter `gives` names its kind, one point a benchmark. They say how
one benchmark did under that tool, never more; the catalogue of virtualization is not touched by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness import stats
from harness.indicators.base import Applies, Indicator, Method, given, pick, single, value
from harness.model import Step, StepResult
from harness.stats.records import Direction

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER


def gives(what: str) -> Applies:
    """Return the predicate of steps whose file holds `what`."""

    def test(step: Step) -> bool:
        return what in str(given(step, "gives")).split()

    return test


def step_of(metric: str) -> Callable[[Sequence[StepResult]], float]:
    """Return how coarse the tool's numbers are, where it says so: the largest step among the results."""
    return lambda results: max((float(series.labels.get("resolution", 0)) for result in results
                                for series in pick(result, metric) if series.labels["part"] != "sample"), default=0.0)


def scored(what: str, part: str = "score", **labels: str) -> Method:
    """Return how a number of a file is scored: it is taken as it stands."""
    metric = f"imported.{what}"
    return Method(score=value(metric, part=part, **labels), resolution=step_of(metric))


SHARE = Method(score=value("imported.failures", part="score"), estimator=stats.mean_ci)
COMMON = {"area": "imported", "workload": "imported"}
BY = "the tool named by the parameter `tool`"
INDICATORS: tuple[Indicator, ...] = (
    single(scored("time"), id="GEN-01", name="Time per operation", name_zh="单次操作时间", unit="s", direction=DOWN,
           **COMMON, applies=gives("time"), source=BY,
           definition="Time of one operation of a benchmark: the median of the repetitions in one file."),
    *(single(scored("time", f"p{p}"), id=f"GEN-01.p{p}", name=f"Time per operation, {p}th percentile",
             name_zh=f"单次操作时间（P{p}）", unit="s", direction=DOWN, **COMMON, applies=gives(f"time.p{p}"),
             source=BY,
             definition=f"The {p}th percentile of the time of one operation, as the tool gives it.") for p in (95, 99)),
    single(scored("rate"), id="GEN-02", name="Rate of operations", name_zh="操作速率", unit="1/s", direction=UP,
           **COMMON, applies=gives("rate"), source=BY, definition="Operations of a benchmark per second."),
    single(scored("bandwidth"), id="GEN-03", name="Data rate", name_zh="数据传输速率", unit="B/s", direction=UP,
           **COMMON, applies=gives("bandwidth"), source=BY, definition="Bytes that a benchmark moved per second."),
    single(scored("size"), id="GEN-04", name="Size", name_zh="占用空间", unit="B", direction=DOWN, **COMMON,
           applies=gives("size"), source=BY, definition="Bytes that a benchmark took."),
    single(SHARE, id="GEN-05", name="Failed operations", name_zh="失败操作占比", unit="1", direction=DOWN, **COMMON,
           applies=gives("failures"), source=BY, definition="Share of the operations of a benchmark that failed."),
    single(scored("relative"), id="GEN-06", name="Time relative to a baseline in the same run",
           name_zh="相对同次运行基线的时间", unit="1", direction=DOWN, **COMMON, applies=gives("relative"), source=BY,
           definition="Time of one operation over that of the baseline of its group, both measured by one process."),
    *(single(scored("number", better=way), id=f"GEN-{at}", name=f"Number in the tool's own unit, {way} is better",
             name_zh=f"工具自有单位数值（{words}）", unit="points", direction=direction, **COMMON,
             applies=gives(f"number.{way}"), source=BY,
             definition="What the tool printed, in the unit that it printed, which is a label of the series.")
      for at, way, words, direction in (("07", "higher", "越高越好", UP), ("08", "lower", "越低越好", DOWN))),
)
