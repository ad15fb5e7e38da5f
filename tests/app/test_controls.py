"""Settings: names from the service, rules from the wire format."""

from typing import Any

import pytest

from app.client import Client
from app.controls import (
    OWN,
    fetch_policies,
    offered,
    offered_kinds,
    own_rules,
    policy_choice,
    rule_kinds,
)
from app.errors import InputError
from serve.rules import (
    ConfidenceRule,
    ExitRules,
    FixedDepthRule,
    NeverRule,
    PatienceRule,
    SimilarityRule,
)
from serve.schemas import (
    PoliciesReport,
)


def test_presets_are_those_of_the_service_and_own_thresholds(policies: PoliciesReport) -> None:
    presets = offered(policies, "caption")
    assert [name for _, name in presets.choices] == ["balanced", "fast", "full", OWN]
    assert presets.default == "balanced"


def test_preset_without_the_task_is_not_offered(policies: PoliciesReport) -> None:
    only = policies.presets[0].model_copy(update={"tasks": {"entailment": ExitRules()}})
    report = policies.model_copy(update={"presets": [only, *policies.presets[1:]]})
    presets = offered(report, "caption")
    assert [name for _, name in presets.choices] == ["fast", "full", OWN]
    assert presets.default == "fast"


def test_service_that_is_down_leaves_own_thresholds(down_client: Client) -> None:
    presets = offered(fetch_policies(down_client), "caption")
    assert [name for _, name in presets.choices] == [OWN]
    assert presets.default is None


def test_confidence_at_the_image_is_offered_for_tags_alone() -> None:
    assert rule_kinds("image", "tags") == [*rule_kinds("image", "caption"), "confidence"]
    assert rule_kinds("text", "tags") == rule_kinds("text", "caption")


def test_rule_kinds_are_those_of_the_wire_format() -> None:
    assert rule_kinds("image", "caption") == ["never", "fixed_depth", "similarity"]
    assert rule_kinds("decoder", "caption") == [
        *("never", "fixed_depth", "similarity", "classifier", "confidence"),
        *("entropy", "margin", "patience", "shallow_exit", "palbert", "jei_dnn"),
    ]


def test_rule_that_the_model_has_no_heads_for_is_not_offered(policies: PoliciesReport) -> None:
    assert offered_kinds(policies, "decoder", "caption") == [
        *("never", "fixed_depth", "similarity", "confidence")
    ]
    able = policies.model_copy(update={"kinds": rule_kinds("decoder", "caption")})
    assert (
        offered_kinds(able, "decoder", "caption")
        == offered_kinds(None, "decoder", "caption")
        == rule_kinds("decoder", "caption")
    )
    assert offered_kinds(able, "image", "caption") == rule_kinds("image", "caption")


def test_own_values_become_rules(own_values: tuple[Any, ...]) -> None:
    assert own_rules(own_values) == ExitRules(
        image=SimilarityRule(kind="similarity", threshold=0.97),
        text=NeverRule(),
        decoder=FixedDepthRule(kind="fixed_depth", depth=4),
        catch_up="copy_hidden",
    )


def test_preset_goes_by_name_and_own_by_rules(own_values: tuple[Any, ...]) -> None:
    assert policy_choice("fast", own_values) == "fast"
    assert policy_choice(None, own_values) is None
    assert policy_choice(OWN, own_values) == own_rules(own_values)


def test_confidence_rule_takes_its_threshold() -> None:
    rules = own_rules(("never", 0, "never", 0, "confidence", 0.4, "deferred", 0))
    assert rules.decoder == ConfidenceRule(kind="confidence", threshold=0.4)


def test_patience_rule_takes_a_number_of_layers() -> None:
    rules = own_rules(("never", 0, "never", 0, "patience", 2.0, "deferred", 0))
    assert rules.decoder == PatienceRule(kind="patience", patience=2)


def test_threshold_out_of_range_names_the_site() -> None:
    with pytest.raises(InputError, match="decoder confidence threshold is not possible"):
        own_rules(("never", 0, "never", 0, "confidence", 1.5, "deferred", 0))


def test_lookahead_is_sent_when_it_is_asked_for(own_values: tuple[Any, ...]) -> None:
    assert own_rules(own_values).lookahead is None
    assert own_rules((*own_values[:-1], 4)).lookahead == 4
