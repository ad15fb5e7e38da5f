"""The forward pass of every recipe: encode to drawn depths, decode whole targets, sum losses."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_core.config import ModelConfig
from model_core.layers import Packing, TeacherForcedContext
from model_core.model import UnifiedModel
from model_core.policies import ExitSignals
from model_core.training.config import LossConfig
from model_core.training.data import IGNORED_TARGET, TrainBatch
from model_core.training.losses import caption_loss, deep_supervision, imitation_loss


class Depths(NamedTuple):
    """The encoder depths and decoder exits of one step (numbers of layers)."""

    image: int
    text: int
    decoder: tuple[int, ...]


def draw_depths(sizes: ModelConfig, config: LossConfig, rng: np.random.Generator) -> Depths:
    """Depths of one step: full, or in a share of the steps any; the last exit always.

    Each modality is drawn on its own (ours), because a decoder that only ever saw full-depth
    memories collapses when a modality leaves early.
    """
    image = text = sizes.num_encoder_layers
    if rng.random() < config.shallow_memory_fraction:
        image, text = (int(depth) for depth in rng.integers(1, image + 1, size=2))
    shallow = rng.permutation(np.arange(sizes.first_exit_depth, sizes.num_decoder_layers))
    chosen = sorted(int(depth) for depth in shallow[: config.exits_per_step - 1])
    return Depths(image, text, (*chosen, sizes.num_decoder_layers))


def image_tokens(model: UnifiedModel, features: Tensor, num_trainable_blocks: int) -> Tensor:
    """``(B, Ti, C)`` image tokens of what was kept of the stem (``training.features``)."""
    if not num_trainable_blocks:
        return features
    start = model.stem.num_blocks - num_trainable_blocks
    return model.stem.tokens(features.contiguous(memory_format=torch.channels_last), start)


class Memory(NamedTuple):
    """What the decoder attends to: ``(B, M, D)`` states, ``(B, M)`` True at real tokens."""

    states: Tensor
    mask: Tensor


class TeacherForcing:
    """Losses of one model on whole targets; rows come in groups that share a memory."""

    def __init__(
        self,
        model: UnifiedModel,
        start_id: int,
        label_ids: list[int],
        num_trainable_stem_blocks: int = 0,
    ) -> None:
        """``label_ids`` answer the entailment task, after the mark ``start_id``."""
        self.model = model
        self._num_trainable_stem_blocks = num_trainable_stem_blocks
        self._start_id = start_id
        self._label_ids = torch.tensor(label_ids)

    def encode_image(self, features: Tensor, depth: int) -> Tensor:
        """``(B, Ti, D)`` states of kept stem features after ``depth`` layers."""
        encoder = self.model.encoder
        tokens = image_tokens(self.model, features, self._num_trainable_stem_blocks)
        return encoder.run_layers(encoder.embed_image(tokens), None, 0, depth)

    def encode_text(self, token_ids: Tensor, mask: Tensor | None, depth: int) -> Tensor:
        """``(B, Tt, D)`` states of ``(B, Tt)`` ids after ``depth`` layers."""
        encoder = self.model.encoder
        return encoder.run_layers(encoder.embed_text(token_ids), mask, 0, depth)

    def text_memory(self, token_ids: Tensor, pad_id: int, depth: int) -> Memory:
        """The memory of ``(B, Tt)`` padded ids without a photo."""
        mask = token_ids != pad_id
        text = self.encode_text(token_ids, mask, depth)
        return self.memory(text[:, :0], text, mask)

    def caption_memory(self, image: Tensor, batch: TrainBatch, depth: int) -> Memory:
        """The memory of ``(B, Ti, D)`` states of a batch's photos and the caption instruction."""
        text = self.encode_text(batch.instruction, None, depth)
        return self.memory(image, text.expand(len(image), -1, -1), None)

    def pair_memory(self, image: Tensor, batch: TrainBatch, pad_id: int, depth: int) -> Memory:
        """The memory of a batch's entailment pairs beside ``(B, Ti, D)`` states of its photos."""
        photos = image.index_select(0, batch.pair_photos)
        return self.joint_memory(photos, batch.pair_texts, pad_id, depth)

    def joint_memory(self, image: Tensor, token_ids: Tensor, pad_id: int, depth: int) -> Memory:
        """The memory of ``(B, Ti, D)`` image states and ``(B, Tt)`` padded ids beside them."""
        mask = token_ids != pad_id
        return self.memory(image, self.encode_text(token_ids, mask, depth), mask)

    def memory(self, image: Tensor, text: Tensor, text_mask: Tensor | None) -> Memory:
        """The joined memory of both modalities; ``text_mask`` is None when all is real."""
        states = self.model.memory(image, text)
        mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if text_mask is not None:
            mask[:, image.shape[1] :] = text_mask
        return Memory(states, mask)

    def sentence_loss(
        self,
        inputs: Tensor,
        targets: Tensor,
        memory: Memory,
        exits: tuple[int, ...],
        label_smoothing: float,
    ) -> Tensor:
        """``L_avg + L_N`` over ``exits`` of the cross entropy of ``(R, T)`` targets."""
        packing = Packing(targets != IGNORED_TARGET)
        features = self.exit_features(inputs, packing, memory, exits)
        return self.supervised(features, packing.pack(targets), label_smoothing)

    def supervised(
        self, exit_features: Sequence[Tensor], targets: Tensor, label_smoothing: float
    ) -> Tensor:
        """``L_avg + L_N`` of the cross entropy of ``(N,)`` targets, by ``(N, D)`` exit features."""
        return deep_supervision(
            [
                caption_loss(self.model.exit_logits(features), targets, label_smoothing)
                for features in exit_features
            ]
        )

    def full_depth_logits(self, inputs: Tensor, packing: Packing, memory: Memory) -> Tensor:
        """``(N, V)`` float32 logits of the last exit for the packed ``(R, T)`` inputs."""
        last = (self.model.config.num_decoder_layers,)
        (features,) = self.exit_features(inputs, packing, memory, last)
        logits: Tensor = self.model.exit_logits(features).float()
        return logits

    def imitation_losses(
        self,
        inputs: Tensor,
        packing: Packing,
        memory: Memory,
        exits: tuple[int, ...],
        wanted: Tensor,
    ) -> list[Tensor]:
        """How far each of ``exits`` is from ``(N, V)`` logits of a teacher."""
        return [
            imitation_loss(self.model.exit_logits(features).float(), wanted)
            for features in self.exit_features(inputs, packing, memory, exits)
        ]

    def label_loss(self, labels: Tensor, memory: Memory, exits: tuple[int, ...]) -> Tensor:
        """``L_avg + L_N`` over ``exits`` of the cross entropy of ``(B,)`` label numbers."""
        every = self.label_logits(memory, exits)
        return deep_supervision([caption_loss(logits, labels, 0.0) for logits in every])

    def label_logits(self, memory: Memory, exits: tuple[int, ...]) -> list[Tensor]:
        """``(B, L)`` logits of the labels at each of ``exits``."""
        states = memory.states
        starts = torch.full((len(states), 1), self._start_id, device=states.device)
        packing = Packing(torch.ones_like(starts, dtype=torch.bool))
        candidates = self._label_ids.to(states.device)
        return [
            self.model.exit_logits(features, candidates)
            for features in self.exit_features(starts, packing, memory, exits)
        ]

    def signals(
        self, inputs: Tensor, packing: Packing, memory: Memory, max_steps: int
    ) -> list[ExitSignals]:
        """What a policy would see of the packed ``(R, T)`` inputs at depths 1..L.

        ``max_steps`` is the most steps that their task may take.
        """
        return self._signals(inputs, packing, memory, max_steps, self.model.exit_logits)

    def label_signals(self, memory: Memory) -> list[ExitSignals]:
        """What a policy would see of the one step that answers with a label, at depths 1..L."""
        states, candidates = memory.states, self._label_ids.to(memory.states.device)
        starts = torch.full((len(states), 1), self._start_id, device=states.device)
        packing = Packing(torch.ones_like(starts, dtype=torch.bool))
        return self._signals(
            starts, packing, memory, 1, lambda rows: self.model.exit_logits(rows, candidates)
        )

    def _signals(
        self,
        inputs: Tensor,
        packing: Packing,
        memory: Memory,
        max_steps: int,
        compute_logits: Callable[[Tensor], Tensor],
    ) -> list[ExitSignals]:
        decoder = self.model.decoder
        context = TeacherForcedContext(decoder.layers, packing, memory.states, memory.mask)
        positions = packing.pack(
            torch.arange(inputs.shape[1], device=inputs.device).expand_as(inputs)
        )
        states = [decoder.embed(packing.pack(inputs), positions)]
        for layer in range(self.model.config.num_decoder_layers):
            states.append(decoder.run_layers(states[-1], context, layer, layer + 1))
        return [
            ExitSignals(
                depth=depth,
                num_layers=self.model.config.num_decoder_layers,
                hidden=hidden[:, None],
                previous=previous[:, None],
                mask=None,
                steps=positions,
                max_steps=torch.full_like(positions, max_steps),
                compute_features=partial(self.model.exit_features, depth, hidden),
                compute_logits=compute_logits,
                compute_learned=self.model.learned_score,
            )
            for depth, (previous, hidden) in enumerate(pairwise(states), start=1)
        ]

    def exit_features(
        self, inputs: Tensor, packing: Packing, memory: Memory, exits: tuple[int, ...]
    ) -> list[Tensor]:
        """``(N, D)`` exit features of the packed ``(R, T)`` inputs at each of ``exits``."""
        positions = torch.arange(inputs.shape[1], device=inputs.device).expand_as(inputs)
        hidden = self.model.decoder.embed(packing.pack(inputs), packing.pack(positions))
        return self.exit_features_from(0, hidden, packing, memory, exits)

    def exit_features_from(
        self, depth: int, hidden: Tensor, packing: Packing, memory: Memory, exits: tuple[int, ...]
    ) -> list[Tensor]:
        """The same of ``(N, D)`` states that have run ``depth`` layers before."""
        decoder = self.model.decoder
        context = TeacherForcedContext(decoder.layers, packing, memory.states, memory.mask)
        features = []
        previous = depth
        for depth in exits:
            hidden = decoder.run_layers(hidden, context, previous, depth)
            features.append(self.model.exit_features(depth, hidden))
            previous = depth
        return features
