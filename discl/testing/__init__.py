"""Contracts a part must keep, as test classes to inherit.

Give a `part` fixture; pytest does the rest.

class TestMine(StrategyContract):
    @pytest.fixture
    def part(self):
        return MyStrategy()

`untrained` writes tiny checkpoints in the formats of Stable Diffusion and open_clip.
"""

from discl.testing.contracts import (
    BackboneContract,
    DatasetContract,
    ExecutorContract,
    GeneratorContract,
    HardRuleContract,
    LossContract,
    MetricContract,
    PromptsContract,
    ScorerContract,
    SecondStageContract,
    StrategyContract,
    TrackerContract,
    alive,
    close,
    dies,
    gone,
    raises,
    sleeps,
    squares,
)

__all__ = [
    "BackboneContract",
    "DatasetContract",
    "ExecutorContract",
    "GeneratorContract",
    "HardRuleContract",
    "LossContract",
    "MetricContract",
    "PromptsContract",
    "ScorerContract",
    "SecondStageContract",
    "StrategyContract",
    "TrackerContract",
    "alive",
    "close",
    "dies",
    "gone",
    "raises",
    "sleeps",
    "squares",
]
