"""What ``user_config`` may say, and what a wrong one is told."""

from typing import Any

import pytest

from model_core.config import Depths
from model_core.errors import ConfigError
from model_core.policies import POLICIES
from model_core.policy_heads import usable_kinds
from serve.policies.live_config import LiveConfig

THREE_LAYERS = Depths(3, 3)


def check(values: dict[str, Any], depths: Depths = THREE_LAYERS) -> LiveConfig:
    config = LiveConfig.parse(values)
    config.check_model(depths, usable_kinds(POLICIES, ()))
    return config


def with_decoder(rule: dict[str, Any]) -> dict[str, Any]:
    return {"presets": {"mine": {"default": {"decoder": rule}}}}


def test_operator_preset_can_be_the_default() -> None:
    mine = with_decoder({"kind": "fixed_depth", "depth": 3})
    config = check({"default_policy": "mine", **mine})
    assert config.default_policy == "mine"
    assert config.presets["mine"].default.decoder.kind == "fixed_depth"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"policy": "fast"}, "user_config: policy: Extra inputs are not permitted"),
        ({"default_policy": "best"}, "default_policy: unknown preset 'best'; use one of full"),
        ({"presets": {"full": {}}}, "presets.full: cannot be changed"),
        ({"presets": {"My preset": {}}}, r"presets.My preset.\[key\]: .*match pattern"),
        (
            with_decoder({"kind": "similarity", "threshold": 2}),
            "presets.mine.default.decoder.similarity.threshold: .*got 2",
        ),
        (
            with_decoder({"kind": "fixed_depth", "depth": 4}),
            "presets.mine.default.decoder.depth: 4 is more than this model has; .* 1 to 3",
        ),
        (
            with_decoder({"kind": "classifier", "threshold": 0.9}),
            "presets.mine.default.decoder.kind: 'classifier' needs learned heads",
        ),
        (
            {"presets": {"mine": {"default": {"image": {"kind": "confidence", "threshold": 0.9}}}}},
            "presets.mine.default.image: .*reads an exit head",
        ),
    ],
)
def test_wrong_field_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(values)


def test_image_head_may_decide_for_tags() -> None:
    rule = {"image": {"kind": "confidence", "threshold": 0.9}}
    assert check({"presets": {"mine": {"tasks": {"tags": rule}}}}).presets


def test_depth_below_the_first_exit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"decoder.depth: 2 is below .* 4 to 6"):
        check(with_decoder({"kind": "fixed_depth", "depth": 2}), Depths(3, 6, first_exit=4))
