"""An indicator for tests of the harness: the geometric mean of the toy tool's rate."""

from harness.indicators.base import Method, single, value, where
from harness.stats.records import Direction

INDICATORS = (
    single(Method(score=value("toy.rate")), id="TOY-01", area="toys", name="Toy rate", name_zh="玩具", unit="1/s",
           direction=Direction.HIGHER_IS_BETTER, workload="toyload", definition="what the tool says", source="test",
           applies=where("guest")),
)
