"""What the book says of the model's policies."""

import pytest

from model_core.policies import POLICIES
from model_core.policy_heads import HEADS
from serve.errors import InvalidInputError
from serve.policies.book import PolicyBook
from serve.rules import ExitRules, FixedDepthRule


def test_kinds_are_those_that_the_model_has_heads_for() -> None:
    assert PolicyBook("full", 3, 3, list(HEADS)).report([]).kinds == list(POLICIES)
    without = PolicyBook("full", 3, 3).report([]).kinds
    assert without == [kind for kind in POLICIES if kind not in HEADS]


def test_fixed_depth_below_the_first_exit_is_refused() -> None:
    book = PolicyBook("full", 3, 6, first_exit_depth=4)
    rules = ExitRules(decoder=FixedDepthRule(kind="fixed_depth", depth=3))
    with pytest.raises(InvalidInputError, match=r"decoder.depth: 3 is below .* are 4 to 6"):
        book.choose(rules, "caption")
