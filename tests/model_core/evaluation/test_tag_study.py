"""The study of tags: points by hand on a tiny model, and which of them is chosen."""

from pathlib import Path

import numpy as np
import pytest

from model_core.evaluation import tag_study
from model_core.evaluation.evaluate import Saving
from model_core.evaluation.features import stem_features
from model_core.evaluation.intervals import Draws, MetricEstimate
from model_core.evaluation.tag_study import (
    TagPoint,
    TagResults,
    TagSplit,
    centred,
    cheapest_that_keeps,
    study_tags,
    tag_settings,
)
from model_core.evaluation.tags import TagExamples, read_tag_examples
from model_core.policies import AnyPolicy, FixedDepthPolicy, NeverPolicy, SimilarityPolicy
from model_core.predictor import Predictor
from tests.tiny_tags import TAG_WORDS

NOTHING = MetricEstimate(value=0, low=0, high=0, difference=0, difference_low=0, difference_high=0)


def point(policy: AnyPolicy, choice_map: float, flops: float) -> TagPoint:
    return TagPoint(
        policy=policy,
        choice_map=choice_map,
        metrics={"map": NOTHING},
        mean_depth=1.0,
        photos_per_depth=[],
        saving=Saving(0.0, 0.0),
        flops=flops,
        flops_without_stem=flops,
    )


def test_the_cheapest_that_keeps_the_share_is_chosen() -> None:
    points = [
        point(NeverPolicy(), 0.5, 100),
        point(FixedDepthPolicy(depth=2), 0.499, 80),
        point(FixedDepthPolicy(depth=1), 0.495, 60),
        point(SimilarityPolicy(threshold=0.9), 0.4949, 10),
    ]
    assert cheapest_that_keeps(points, "fixed_depth") == 2
    assert cheapest_that_keeps(points, "similarity") == 0  # full depth when nothing keeps it


def test_resamples_are_moved_to_the_value() -> None:
    found = centred(Draws(0.2, np.array([0.2, 0.3, 0.4])))
    assert found.value == 0.2
    np.testing.assert_allclose(found.resampled, [0.1, 0.2, 0.3])


def test_settings_begin_with_full_depth_and_hold_every_fixed_one() -> None:
    never, *others = tag_settings(4)
    assert never == NeverPolicy()
    assert [one.depth for one in others if isinstance(one, FixedDepthPolicy)] == [3, 2, 1]
    assert {one.model_dump()["kind"] for one in others} == {
        *("fixed_depth", "confidence", "similarity")
    }


def split_of(tagging: Predictor, folder: Path, name: str) -> TagSplit:
    examples = read_tag_examples(tagging, folder, name).examples
    targets = np.zeros((6, len(TAG_WORDS)), dtype=bool)
    targets[[0, 2, 3], [0, 1, 0]] = True
    given = TagExamples(examples, targets)
    return TagSplit(name, given, stem_features(tagging, examples))


def test_study_measures_every_setting_of_every_model(
    tagging: Predictor, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_study, "NUM_RESAMPLES", 20)
    monkeypatch.setattr(tag_study, "CONFIDENCES", (0.9, 0.85, 0.8))
    monkeypatch.setattr(SimilarityPolicy, "grid", (0.9, 0.5))
    choice, test = (split_of(tagging, data_folder, name) for name in ("val", "test"))
    results = study_tags({"a": tagging, "b": tagging}, choice, test, [2], 4)
    assert TagResults.model_validate_json(results.model_dump_json()) == results
    assert (results.words, results.num_timed) == (list(TAG_WORDS), 4)
    assert results.words_per_photo == 0.5
    full, *others = results.models["a"].points
    assert full.metrics["map"].difference == full.metrics["map"].difference_low == 0
    assert (full.mean_depth, full.saving.flops, full.photos_per_depth) == (4, 0, [0, 0, 0, 6])
    assert full.times[2].wall_without_stem == 0
    third = others[0]
    assert (third.mean_depth, third.saving.layers) == (3, 0.25)
    layer = tagging.tagger.photo_flops(NeverPolicy(), 4) - third.flops
    assert layer == pytest.approx(full.flops - third.flops)
    assert len({one.mean_depth for one in others}) >= 5
    assert set(results.models["a"].chosen) == {"fixed_depth", "confidence", "similarity"}
    for chosen in results.models["a"].chosen.values():
        kept = results.models["a"].points[chosen].choice_map
        assert kept >= 0.99 * full.choice_map
    assert results.models["b"].points[1].metrics == third.metrics
    assert third.against_first is None
    for same in results.models["b"].points:  # the same heads: nothing between them
        assert same.against_first is not None
        lead = same.against_first
        assert (lead.difference, lead.difference_low, lead.difference_high) == (0, 0, 0)
