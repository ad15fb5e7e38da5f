"""A setting taken home as YAML: everything that reads presets reads it."""

from pathlib import Path

import pytest
import yaml

from app.policy_file import MAX_DESCRIPTION, policy_yaml
from model_core.config import ExitConfig, load_preset
from serve.policies.book import PolicyBook, to_rules
from serve.policies.live_config import LiveConfig
from serve.rules import (
    ConfidenceRule,
    ExitRules,
    FixedDepthRule,
    PatienceRule,
    ShallowExitRule,
    SimilarityRule,
    ThresholdDecay,
)

RULES = [
    ExitRules(),
    ExitRules(
        image=SimilarityRule(kind="similarity", threshold=0.91, decay=ThresholdDecay(tau=4)),
        text=FixedDepthRule(kind="fixed_depth", depth=2),
        decoder=ConfidenceRule(kind="confidence", threshold=0.4, min_depth=2),
    ),
    ExitRules(decoder=PatienceRule(kind="patience", patience=2), catch_up="copy_hidden"),
    ExitRules(decoder=ShallowExitRule(kind="shallow_exit", threshold=0.3), lookahead=4),
]


@pytest.mark.parametrize("rules", RULES)
def test_file_loads_as_a_preset_for_its_task(rules: ExitRules, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(policy_yaml("caption", rules, "Chosen: of ten."), encoding="utf-8")
    preset = load_preset(str(path))
    assert preset.description == "Chosen: of ten."
    assert to_rules(preset.for_task("caption")) == rules
    assert preset.for_task("entailment") == ExitConfig()


@pytest.mark.parametrize("rules", RULES)
def test_rules_under_the_task_are_a_policy_of_the_api(rules: ExitRules) -> None:
    document = yaml.safe_load(policy_yaml("caption", rules, ""))
    sent = ExitRules.model_validate(document["tasks"]["caption"])
    chosen = PolicyBook("full", 6, 6).choose(sent, "caption")
    assert chosen.as_wire().rules == rules


def test_operator_takes_it_as_a_preset_of_user_config() -> None:
    document = yaml.safe_load(policy_yaml("entailment", RULES[1], "x" * 500))
    assert len(document["description"]) == MAX_DESCRIPTION
    config = LiveConfig.parse({"default_policy": "mine", "presets": {"mine": document}})
    assert to_rules(config.presets["mine"].for_task("entailment")) == RULES[1]
