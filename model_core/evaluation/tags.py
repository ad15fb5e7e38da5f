"""Quality of tags: through the runtime under one policy, or at every depth of one pass.

Any policy at the image leaves at one of the depths of the same frozen states, so that one pass
through the encoder tells what every policy would answer; a test compares it with the runtime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from model_core.config import ExitConfig
from model_core.encode import EncoderDepth
from model_core.evaluation.evaluate import Saving
from model_core.evaluation.examples import Example, batches, read_examples
from model_core.evaluation.metrics import mean, relative_saving
from model_core.evaluation.tag_metrics import WordRankings, micro_f1
from model_core.policies import ExitPolicy, decide
from model_core.predictor import Predictor
from model_core.preprocessing import MAX_PIXELS, decode_photo
from model_core.tagging import MAX_BATCH_SIZE, TASK, tag_heads_of
from model_core.training.tag_words import photo_tags
from model_core.types import TagAnswer

CAPTIONS = "caption"  # the task whose examples are photos with their captions


class TagExamples(NamedTuple):
    """Photos, and ``(N, W)`` True where a photo has the word."""

    examples: Sequence[Example]
    targets: np.ndarray


class DepthReadings(NamedTuple):
    """What one pass through the encoder tells of all policies.

    Attributes:
        probabilities: ``(L, N, W)`` of the words at each depth.
        left: By policy, ``(N,)`` the depth at which each photo leaves.
    """

    probabilities: np.ndarray
    left: dict[ExitPolicy, np.ndarray]


@dataclass(frozen=True)
class TagEvaluation:
    """What ``evaluate --task tags`` prints."""

    task: str
    split: str
    policy: str
    num_examples: int
    metrics: dict[str, float]
    saving: Saving
    mean_depth: float


def read_tag_examples(
    predictor: Predictor, folder: Path, split: str, limit: int | None = None
) -> TagExamples:
    """Photos of a split with the model's own tags.

    Raises:
        InputError: The model has no tag heads, or a file of the folder is missing or wrong.
    """
    words = tag_heads_of(predictor.model).config.words
    examples = read_examples(predictor, CAPTIONS, folder, split, limit=limit)
    targets = [photo_tags(example.references, words) for example in examples]
    return TagExamples(examples, np.array(targets, dtype=bool))


def evaluate_tags(
    predictor: Predictor, split: str, given: TagExamples, policy: str, exits: ExitConfig
) -> TagEvaluation:
    """Metrics, saving and depth of ``exits`` (named ``policy``), by the runtime."""
    answers: list[TagAnswer] = []
    for batch in batches(given.examples, MAX_BATCH_SIZE):
        photos = [decode_photo(item.image.read_bytes(), MAX_PIXELS) for item in batch]
        answers += predictor.tag(photos, exits)
    probabilities = np.array([answer.probabilities for answer in answers])
    decided = probabilities >= np.array([[answer.threshold] for answer in answers])
    costs = [answer.cost for answer in answers]
    return TagEvaluation(
        task=TASK,
        split=split,
        policy=policy,
        num_examples=len(answers),
        metrics=tag_metrics(probabilities, decided, given.targets),
        saving=Saving(
            layers=relative_saving(
                sum(cost.layers_run for cost in costs), sum(cost.layers_full for cost in costs)
            ),
            flops=relative_saving(
                sum(cost.flops for cost in costs), sum(cost.flops_full for cost in costs)
            ),
        ),
        mean_depth=mean([answer.image.depth for answer in answers]),
    )


def tag_metrics(
    probabilities: np.ndarray, decided: np.ndarray, targets: np.ndarray
) -> dict[str, float]:
    """``map`` and ``micro_f1`` of ``(N, W)`` probabilities and decisions."""
    return {
        "map": WordRankings(probabilities, targets).value(),
        "micro_f1": micro_f1(decided, targets),
    }


@torch.inference_mode()
def read_depths(
    predictor: Predictor, features: Sequence[Tensor], policies: Sequence[ExitPolicy]
) -> DepthReadings:
    """Probabilities at every depth, and where each policy leaves, of ``(Ti, C)`` stem features.

    Raises:
        InputError: The model has no tag heads.
    """
    tag_heads_of(predictor.model)
    console = Console(stderr=True)
    parts = [
        _read_batch(
            predictor, torch.stack(list(features[start : start + MAX_BATCH_SIZE])), policies
        )
        for start in track(
            range(0, len(features), MAX_BATCH_SIZE),
            "photos at every depth",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    ]
    return DepthReadings(
        np.concatenate([part.probabilities for part in parts], axis=1),
        {policy: np.concatenate([part.left[policy] for part in parts]) for policy in policies},
    )


def _read_batch(
    predictor: Predictor, features: Tensor, policies: Sequence[ExitPolicy]
) -> DepthReadings:
    model = predictor.model
    weight = next(model.parameters())
    num_layers, rows = model.config.num_encoder_layers, np.arange(len(features))
    left = {policy: np.zeros(len(rows), dtype=np.int64) for policy in policies}
    hidden = model.embed_image(features.to(weight.device, weight.dtype))
    probabilities = []
    for depth in range(1, num_layers + 1):
        previous, hidden = hidden, model.run_encoder_layer(depth - 1, hidden, None)
        seen = EncoderDepth(depth, num_layers, hidden, previous, None, model.tag_heads)
        signals = seen.signals(rows)
        probabilities.append(signals.logits().sigmoid().to("cpu", torch.float64).numpy())
        for policy, depths in left.items():
            leaves = decide(policy, signals).exit_mask.cpu().numpy()
            depths[leaves & (depths == 0)] = depth
    return DepthReadings(np.stack(probabilities), left)
