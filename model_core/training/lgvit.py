"""The LGViT recipe: tag heads of the image encoder, learned in two stages on a frozen model.

Stage 1 takes turns: even steps learn the last head, odd steps all heads, deeper ones weighing more.
Stage 2 keeps the last head as it is and lets the others learn from the words and from it, from the
tokens of the last depth, and from the last head of their own kind.

Source: arXiv 2308.00255. Ours: the model is frozen in both stages (the paper trains it along in
the first, where turns keep the exits from pulling it away from its last layer; here they share the
steps between the heads); sigmoids instead of a softmax; one schedule of the learning rate over
both stages; linear and mlp heads, which the paper's feature losses do not speak of, learn from
words and predictions alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from model_core.errors import ConfigError
from model_core.model import UnifiedModel
from model_core.tag_heads import HeadKind, TagHeads, TagHeadsConfig, grid_side, pooled, subsample
from model_core.training.config import TrainConfig
from model_core.training.data import photos_of_step, read_captions
from model_core.training.heads import start_tag_heads
from model_core.training.recipe import StepLosses
from model_core.training.tag_data import read_tag_data
from model_core.training.tag_losses import (
    channel_divergence,
    feature_distance,
    gram_distance,
    prediction_distillation,
    tag_loss,
    weighted_exits,
)
from model_core.training.tag_words import choose_words

LOCAL_KINDS, GLOBAL_KINDS = (HeadKind.LOCAL, HeadKind.LOCAL_POINTWISE), (HeadKind.GLOBAL,)


class LgvitRecipe:
    """Every head on the states of its depth, which are computed before the first step."""

    def __init__(self, model: UnifiedModel, config: TrainConfig) -> None:
        """Give the model new tag heads, freeze the rest of it, and read the data.

        Raises:
            ConfigError: There is not one kind of head per layer of the encoder.
        """
        self._model = model
        self._config = config
        photos = [item.captions for item in read_captions(config.data.folder, "train")]
        words = choose_words(photos, config.tags.num_words)
        heads_config = tag_heads_config(config, words, model.config.num_encoder_layers)
        self.heads = start_tag_heads(model, heads_config)
        self._data = read_tag_data(model, config, "train", words)
        start_from_frequencies(self.heads, self._data.targets)

    @property
    def first_stage_steps(self) -> int:
        """Steps before the last head is kept."""
        return round(self._config.num_steps * self._config.tags.first_stage_fraction)

    def losses(self, step: int) -> StepLosses:
        self._model.eval()  # without dropout, as in an answer
        rng = np.random.default_rng((self._config.seed, step))
        size = self._config.data.photos_per_batch
        photos = photos_of_step(self._config.seed, step, size, len(self._data.targets))
        views = rng.integers(len(self._data.states), size=size).tolist()
        states = self._data.batch_states(views, photos, self._config.device)
        targets = self._data.targets[photos].to(states.device)
        self.heads.train()
        if step < self.first_stage_steps:
            return self._first_stage(step, states, targets)
        self.heads.heads[-1].eval()  # the batch norms of the last head stay, too
        return self._second_stage(states, targets)

    def _first_stage(self, step: int, states: Tensor, targets: Tensor) -> StepLosses:
        num_depths = states.shape[1]
        depths = [num_depths] if step % 2 == 0 else list(range(1, num_depths + 1))
        exits = {
            depth: tag_loss(self._logits(depth, states, self._tokens(depth, states)), targets)
            for depth in depths
        }
        total = exits[num_depths] if step % 2 == 0 else weighted_exits(list(exits.values()))
        parts = {f"depth_{depth}": loss.detach() for depth, loss in exits.items()}
        return StepLosses(total, parts)

    def _second_stage(self, states: Tensor, targets: Tensor) -> StepLosses:
        weights, last = self._config.tags, states.shape[1]
        with torch.no_grad():
            last_tokens = self._tokens(last, states)
            teacher = self._logits(last, states, last_tokens)
        tokens = [self._tokens(depth, states) for depth in range(1, last)]
        exits, parts = [], {"depth_" + str(last): tag_loss(teacher, targets)}
        for depth, own in enumerate(tokens, start=1):
            logits = self._logits(depth, states, own)
            hard = tag_loss(logits, targets)
            soft = prediction_distillation(logits, teacher, weights.temperature)
            exits.append((1 - weights.distillation) * hard + weights.distillation * soft)
            parts[f"depth_{depth}"] = hard.detach()
        features = feature_losses(
            self.heads.config.kinds, [*tokens, last_tokens], states[:, -1].float()
        )
        total = (
            torch.stack(exits).sum()
            + weights.heterogeneous_weight * features.heterogeneous
            + weights.homogeneous_weight * features.homogeneous
        )
        parts["heterogeneous"] = features.heterogeneous.detach()
        parts["homogeneous"] = features.homogeneous.detach()
        return StepLosses(total, parts)

    def _tokens(self, depth: int, states: Tensor) -> Tensor:
        return self.heads.tokens(depth, states[:, depth - 1]).float()

    def _logits(self, depth: int, states: Tensor, tokens: Tensor) -> Tensor:
        return self.heads.logits(depth, pooled(tokens, states[:, depth - 1])).float()


class FeatureLosses(NamedTuple):
    """What stage 2 asks of the heads' tokens.

    Attributes:
        heterogeneous: Divergence of the first and the last learning head of each kind from the
            tokens of the last depth, added up.
        homogeneous: Distance of each head to the last one of its kind, added up.
    """

    heterogeneous: Tensor
    homogeneous: Tensor


def feature_losses(
    kinds: Sequence[HeadKind], tokens: Sequence[Tensor], final: Tensor
) -> FeatureLosses:
    """Feature losses of the local and the global heads, of which the last depth's learns nothing.

    Args:
        kinds: Of the heads at depths 1..L.
        tokens: ``(B, T', D)`` of each.
        final: ``(B, T, D)`` states of the last depth; global heads see a part of these tokens.
    """
    heterogeneous = homogeneous = final.new_zeros(())
    sampled = subsample(final, grid_side(final.shape[1]))
    for group, wanted, distance in (
        (LOCAL_KINDS, final, feature_distance),
        (GLOBAL_KINDS, sampled, gram_distance),
    ):
        places = [place for place, kind in enumerate(kinds) if kind in group]
        learning = [place for place in places if place < len(kinds) - 1]
        for place in dict.fromkeys([*learning[:1], *learning[-1:]]):
            heterogeneous = heterogeneous + channel_divergence(tokens[place], wanted)
        for place in places[:-1]:
            homogeneous = homogeneous + distance(tokens[place], tokens[places[-1]])
    return FeatureLosses(heterogeneous, homogeneous)


def tag_heads_config(
    config: TrainConfig, words: tuple[str, ...], num_layers: int
) -> TagHeadsConfig:
    """What heads a run trains; one kind alone stands for every depth.

    Raises:
        ConfigError: There is not one kind per layer of the encoder.
    """
    kinds = config.tags.kinds
    if len(kinds) == 1:
        kinds = kinds * num_layers
    if len(kinds) != num_layers:
        raise ConfigError(
            f"tags.kinds: {len(kinds)} kinds for the {num_layers} layers of the encoder; give one "
            "for each, or one for all"
        )
    if not words:
        raise ConfigError("data.folder: no photo has a word that two of its captions share")
    return TagHeadsConfig(words=words, kinds=kinds)


@torch.no_grad()
def start_from_frequencies(heads: TagHeads, targets: Tensor) -> None:
    """Let every head begin with the log odds of each word in ``(N, W)`` targets (add-one)."""
    present = targets.sum(dim=0) + 1
    odds = (present / (len(targets) + 2 - present)).log()
    for output in heads.outputs:
        assert isinstance(output, nn.Linear)
        output.bias.copy_(odds)
