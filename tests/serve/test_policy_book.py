"""What the book says of the model's policies."""

from model_core.policies import POLICIES
from model_core.policy_heads import HEADS
from serve.policy_book import PolicyBook


def test_kinds_are_those_that_the_model_has_heads_for() -> None:
    assert PolicyBook("full", 3, 3, list(HEADS)).report([]).kinds == list(POLICIES)
    without = PolicyBook("full", 3, 3).report([]).kinds
    assert without == [kind for kind in POLICIES if kind not in HEADS]
