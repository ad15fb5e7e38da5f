"""The wire format says the same as the model's own types and policies."""

import dataclasses
import typing

import pytest
from pydantic import BaseModel

from model_core import types
from model_core.config import ExitConfig
from model_core.policies import POLICIES, ThresholdDecay
from model_core.request import MAX_NUM_BEAMS
from model_core.types import Answer
from serve import rules, schemas
from serve.cache.result_cache import CachedAnswer
from tests.serve.fakes import make_trace

RULES: dict[str, type[BaseModel]] = {
    "never": rules.NeverRule,
    "fixed_depth": rules.FixedDepthRule,
    "similarity": rules.SimilarityRule,
    "classifier": rules.ClassifierRule,
    "confidence": rules.ConfidenceRule,
    "entropy": rules.EntropyRule,
    "margin": rules.MarginRule,
    "patience": rules.PatienceRule,
    "shallow_exit": rules.ShallowExitRule,
    "palbert": rules.PalbertRule,
    "jei_dnn": rules.JeiDnnRule,
}


def dataclasses_of(root: type) -> list[type]:
    """``root`` and every dataclass its fields hold, however deep."""
    found = [root]
    for hint in typing.get_type_hints(root).values():
        for part in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(part):
                found.extend(dataclasses_of(typing.cast(type, part)))
    return list(dict.fromkeys(found))


def normal_form(hint: object) -> str:
    """Types by name, a tuple of the model being a list on the wire."""
    arguments = [part for part in typing.get_args(hint) if part is not Ellipsis]
    if arguments:
        return f"list[{', '.join(normal_form(part) for part in arguments)}]"
    return getattr(hint, "__name__", str(hint))


@pytest.mark.parametrize("source", dataclasses_of(types.ExitTrace), ids=lambda c: c.__name__)
def test_trace_has_the_same_fields_on_the_wire(source: type) -> None:
    mirror = getattr(schemas, source.__name__)
    expected = {name: normal_form(hint) for name, hint in typing.get_type_hints(source).items()}
    found = {
        name: normal_form(hint)
        for name, hint in typing.get_type_hints(mirror).items()
        if name != "model_config"
    }
    assert found == expected


def test_every_part_of_a_trace_is_mirrored() -> None:
    assert len(dataclasses_of(types.ExitTrace)) == 7


def shape_of(model: type[BaseModel]) -> dict[str, object]:
    """Names, defaults and bounds of the fields, without the prose."""
    properties = model.model_json_schema()["properties"]
    prose = ("title", "description", "anyOf")
    return {
        name: {key: value for key, value in field.items() if key not in prose}
        for name, field in properties.items()
    }


def test_every_policy_has_a_rule() -> None:
    assert list(RULES) == list(POLICIES)


@pytest.mark.parametrize("kind", list(POLICIES))
def test_rule_has_the_policy_fields_defaults_and_bounds(kind: str) -> None:
    expected, found = shape_of(POLICIES[kind]), shape_of(RULES[kind])
    # On the wire the kind must be written, which in YAML it must be too: the union needs it.
    expected["kind"] = found["kind"] = {"const": kind}
    assert found == expected


def test_decay_has_the_same_fields_defaults_and_bounds() -> None:
    assert shape_of(rules.ThresholdDecay) == shape_of(ThresholdDecay)


def test_default_rules_are_the_default_exits() -> None:
    assert rules.ExitRules().model_dump(mode="json") == ExitConfig().model_dump(mode="json")


def test_as_many_beams_may_be_asked_for_as_the_model_takes() -> None:
    field = schemas.CaptionRequest.model_json_schema()["properties"]["num_beams"]
    assert (field["minimum"], field["maximum"], field["default"]) == (1, MAX_NUM_BEAMS, 1)


def test_trace_goes_over_the_wire_and_back_unchanged() -> None:
    answer = Answer("caption", "a dog", (1,), {}, make_trace(["a", "dog"]))
    content = CachedAnswer.from_answer(answer)
    assert CachedAnswer.model_validate_json(content.model_dump_json()) == content
    assert content.trace.encoder.image.scores == list(answer.trace.encoder.image.scores)
    assert content.trace.model_dump()["cost"] == dataclasses.asdict(answer.trace.cost)
