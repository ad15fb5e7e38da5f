"""Tags under every setting of several models that share a backbone: quality, cost and time.

The settings are chosen on one split and reported on another: the cheapest in operations that keeps
a share of full depth's mean average precision.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from model_core.evaluation.benchmark import Conditions, conditions
from model_core.evaluation.evaluate import Saving
from model_core.evaluation.intervals import Draws, MetricEstimate, estimate, estimate_of_draws
from model_core.evaluation.metrics import relative_saving
from model_core.evaluation.results import current_commit
from model_core.evaluation.statistics import resample_weights
from model_core.evaluation.tag_metrics import WordRankings, f1_statistics
from model_core.evaluation.tag_times import TagTimes, Timed, time_tags
from model_core.evaluation.tags import DepthReadings, TagExamples, read_depths
from model_core.policies import (
    AnyPolicy,
    ConfidencePolicy,
    ExitPolicy,
    FixedDepthPolicy,
    NeverPolicy,
    SimilarityPolicy,
)
from model_core.predictor import Predictor
from model_core.tag_heads import HeadKind
from model_core.tagging import TASK, tag_heads_of

SCHEMA_VERSION = 1
KEPT_SHARE = 0.99
NUM_RESAMPLES = 500  # a ranking of every word in each
SEED = 1
CHOSEN_KINDS = ("fixed_depth", "confidence", "similarity")
# The expected F1 of an answer is seldom above the first or below the last of these.
CONFIDENCES = (0.8, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)


class TagPoint(BaseModel):
    """One setting.

    Attributes:
        policy: At the image.
        choice_map: ``map`` on the split that settings are chosen on.
        metrics: ``map`` and ``micro_f1`` on the other, with intervals and differences to full
            depth of the same model.
        against_first: ``map`` again, the difference being to the first model at this setting; None
            for the first model.
        mean_depth: Layers run per photo.
        photos_per_depth: How many left at depths 1..L.
        saving: Layers of the encoder, and operations with stem and heads.
        flops: Operations per photo, stem and heads included.
        flops_without_stem: The same of encoder and heads alone.
        times: By batch size.
    """

    model_config = ConfigDict(extra="forbid")

    policy: AnyPolicy
    choice_map: float
    metrics: dict[str, MetricEstimate]
    against_first: MetricEstimate | None = None
    mean_depth: float
    photos_per_depth: list[int]
    saving: Saving
    flops: float
    flops_without_stem: float
    times: dict[int, TagTimes] = Field(default_factory=dict)


class TagModel(BaseModel):
    """The points of one checkpoint.

    Attributes:
        checkpoint: Its hash.
        kinds: Of the heads at depths 1..L.
        head_flops: Operations of each head for a photo.
        thresholds: From which a word is given, by depth.
        points: Full depth first.
        chosen: By kind of policy, number of its cheapest point that keeps the share; that of full
            depth where none does.
    """

    model_config = ConfigDict(extra="forbid")

    checkpoint: str
    kinds: list[HeadKind]
    head_flops: list[int]
    thresholds: list[float]
    points: list[TagPoint]
    chosen: dict[str, int]


class TagResults(BaseModel):
    """What the command ``tags`` leaves.

    Attributes:
        split: That ``metrics`` are of.
        choice_split: That settings are chosen on.
        kept_share: Of full depth's ``map`` that a chosen setting keeps there.
        words: The tags.
        words_per_photo: Mean number of tags.
        num_timed: Photos that times were measured on.
        models: By name.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    split: str
    choice_split: str
    num_photos: int
    num_choice_photos: int
    kept_share: float
    words: list[str]
    words_per_photo: float
    num_timed: int
    conditions: Conditions
    commit: str
    models: dict[str, TagModel]


class TagSplit(NamedTuple):
    """Photos with their tags and ``(Ti, C)`` stem features by photo, of a named split."""

    name: str
    given: TagExamples
    features: Mapping[Path, Tensor]

    def rows(self) -> list[Tensor]:
        """Stem features in the order of the photos."""
        return [self.features[example.image] for example in self.given.examples]


def tag_settings(num_layers: int) -> list[ExitPolicy]:
    """Full depth, every fixed depth, confidence and similarity, safe to cheap."""
    return [
        NeverPolicy(),
        *FixedDepthPolicy.settings(num_layers),
        *(ConfidencePolicy(threshold=value) for value in CONFIDENCES),
        *SimilarityPolicy.settings(num_layers),
    ]


def study_tags(
    predictors: Mapping[str, Predictor],
    choice: TagSplit,
    test: TagSplit,
    batch_sizes: Sequence[int],
    num_timed: int,
) -> TagResults:
    """Every setting of every model; the models have the same backbone and the same words.

    Raises:
        InputError: A model has no tag heads.
    """
    first = next(iter(predictors.values()))
    policies = tag_settings(first.info.num_encoder_layers)
    measured = {name: _measured(one, policies, test) for name, one in predictors.items()}
    models = {
        name: _model(one, policies, choice, measured[name]) for name, one in predictors.items()
    }
    _compare_with_first(models, measured)
    taggers = {name: one.tagger for name, one in predictors.items()}
    settings = [Timed(name, policy) for name in predictors for policy in policies]
    timed = test.rows()[:num_timed]
    for size in batch_sizes:
        for setting, times in time_tags(taggers, settings, timed, size).items():
            models[setting.model].points[policies.index(setting.policy)].times[size] = times
    return TagResults(
        split=test.name,
        choice_split=choice.name,
        num_photos=len(test.given.examples),
        num_choice_photos=len(choice.given.examples),
        kept_share=KEPT_SHARE,
        words=list(first.info.tags),
        words_per_photo=float(test.given.targets.sum(axis=1).mean()),
        num_timed=len(timed),
        conditions=conditions(first, TASK, len(test.given.examples)),
        commit=current_commit(),
        models=models,
    )


def _compare_with_first(
    models: Mapping[str, TagModel], measured: Mapping[str, Sequence["_Measured"]]
) -> None:
    (_, of_first), *others = measured.items()
    for name, of_model in others:
        for point, here, there in zip(models[name].points, of_model, of_first, strict=True):
            point.against_first = estimate_of_draws(here.maps, there.maps)


def _model(
    predictor: Predictor,
    policies: Sequence[ExitPolicy],
    choice: TagSplit,
    measured: Sequence["_Measured"],
) -> TagModel:
    readings = read_depths(predictor, choice.rows(), policies)
    choice_maps = [
        WordRankings(answered(readings, policy), choice.given.targets).value()
        for policy in policies
    ]
    points = [
        _point(predictor, policy, choice_map, one)
        for policy, choice_map, one in zip(policies, choice_maps, measured, strict=True)
    ]
    heads = tag_heads_of(predictor.model)
    return TagModel(
        checkpoint=predictor.info.hash,
        kinds=list(heads.config.kinds),
        head_flops=[heads.flops(depth) for depth in range(1, len(heads.config.kinds) + 1)],
        thresholds=heads.thresholds.tolist(),
        points=points,
        chosen={kind: cheapest_that_keeps(points, kind) for kind in CHOSEN_KINDS},
    )


def cheapest_that_keeps(points: Sequence[TagPoint], kind: str) -> int:
    """Place of the point with fewest operations of that kind of policy that keeps the share.

    Full depth, the first point, always does.
    """
    wanted = KEPT_SHARE * points[0].choice_map
    keeping = [
        place
        for place, point in enumerate(points)
        if point.policy.kind == kind and point.choice_map >= wanted
    ]
    return min([0, *keeping], key=lambda place: points[place].flops)


def answered(readings: DepthReadings, policy: ExitPolicy) -> np.ndarray:
    """``(N, W)`` probabilities of the depth at which each photo leaves."""
    left = readings.left[policy]
    found: np.ndarray = readings.probabilities[left - 1, np.arange(len(left))]
    return found


class _Measured(NamedTuple):
    """``(N,)`` depths at which photos leave under a policy, and what that is worth.

    Draws of ``map`` are of the same resamples for every policy and model.
    """

    left: np.ndarray
    maps: Draws
    metrics: dict[str, MetricEstimate]


def _measured(
    predictor: Predictor, policies: Sequence[ExitPolicy], test: TagSplit
) -> list[_Measured]:
    """In the order of the policies, of which the first is full depth."""
    readings = read_depths(predictor, test.rows(), policies)
    names = [example.image for example in test.given.examples]
    weights = resample_weights(names, SEED, NUM_RESAMPLES)
    thresholds = np.array(tag_heads_of(predictor.model).thresholds.tolist())
    maps, f1s = [], []
    for policy in policies:
        probabilities = answered(readings, policy)
        decided = probabilities >= thresholds[readings.left[policy] - 1, None]
        ranked = WordRankings(probabilities, test.given.targets)
        maps.append(centred(Draws(ranked.value(), ranked.resampled(weights))))
        f1s.append(f1_statistics(decided, test.given.targets))
    return [
        _Measured(
            readings.left[policy],
            of_map,
            {
                "map": estimate_of_draws(of_map, maps[0]),
                "micro_f1": estimate(of_f1, f1s[0], weights),
            },
        )
        for policy, of_map, of_f1 in zip(policies, maps, f1s, strict=True)
    ]


def centred(draws: Draws) -> Draws:
    """The same, moved so that the mean of the resamples is the value on all examples.

    A resample repeats photos, which ranks rare words better than they deserve, and lacks some words
    altogether: its ``map`` is too high on average.
    """
    return Draws(draws.value, draws.resampled - draws.resampled.mean() + draws.value)


def _point(
    predictor: Predictor, policy: ExitPolicy, choice_map: float, measured: _Measured
) -> TagPoint:
    tagger, num_layers = predictor.tagger, predictor.info.num_encoder_layers
    mean_depth = float(measured.left.mean())
    counts = np.bincount(measured.left, minlength=num_layers + 1)[1:].tolist()
    by_depth = [tagger.photo_flops(policy, depth) for depth in range(1, num_layers + 1)]
    flops = sum(count * one for count, one in zip(counts, by_depth, strict=True)) / sum(counts)
    full = tagger.photo_flops(NeverPolicy(), num_layers)
    return TagPoint.model_validate(
        {
            "policy": policy,
            "choice_map": choice_map,
            "metrics": measured.metrics,
            "mean_depth": mean_depth,
            "photos_per_depth": counts,
            "saving": Saving(relative_saving(mean_depth, num_layers), relative_saving(flops, full)),
            "flops": flops,
            "flops_without_stem": flops - tagger.stem_flops,
        }
    )
