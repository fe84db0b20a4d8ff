# ruff: noqa: F403
"""What type checkers see: the names of the table in __init__.py, which load on first use."""

from harness.stats.composite import *
from harness.stats.decision import *
from harness.stats.hierarchy import *
from harness.stats.histograms import *
from harness.stats.history import *
from harness.stats.inputs import *
from harness.stats.multiple import *
from harness.stats.ranking import *
from harness.stats.rare import *
from harness.stats.ratios import *
from harness.stats.records import *
from harness.stats.repetition import *
from harness.stats.resampling import *
from harness.stats.scaling import *
from harness.stats.scores import *
from harness.stats.series import *
from harness.stats.shift import *
from harness.stats.soak import *
from harness.stats.usl import *
