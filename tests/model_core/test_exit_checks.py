"""Exits that a model cannot follow: what is refused, with which sentence."""

import pytest

from model_core.config import ExitConfig, ModelConfig
from model_core.errors import InputError
from model_core.exit_checks import check_depths, check_exits, check_image_head
from model_core.policies import ClassifierPolicy, ConfidencePolicy, FixedDepthPolicy, NeverPolicy


@pytest.mark.parametrize(
    ("exits", "message"),
    [
        (ExitConfig(image=FixedDepthPolicy(depth=5)), r"image\.depth: 5 exceeds the model's 4"),
        (ExitConfig(text=NeverPolicy(min_depth=6)), r"text\.min_depth: 6 exceeds the model's 4"),
        (ExitConfig(decoder=FixedDepthPolicy(depth=9)), r"decoder\.depth: 9 exceeds"),
    ],
)
def test_depths_below_the_last_layer_are_refused(
    tiny_config: ModelConfig, exits: ExitConfig, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_depths(exits, tiny_config)


def test_learned_policies_need_their_heads(tiny_config: ModelConfig) -> None:
    exits = ExitConfig(decoder=ClassifierPolicy(threshold=0.5))
    check_exits(exits, tiny_config, ["classifier"])
    with pytest.raises(InputError, match="decoder: policy 'classifier' needs learned heads"):
        check_exits(exits, tiny_config, [])


def test_heads_of_the_image_are_for_tags(tiny_config: ModelConfig) -> None:
    exits = ExitConfig(image=ConfidencePolicy(threshold=0.5))
    check_depths(exits, tiny_config)  # all that a request for tags is asked
    with pytest.raises(InputError, match="image: policy 'confidence' reads an exit head"):
        check_image_head(exits)
