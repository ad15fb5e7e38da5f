"""The premise guidance recipe: what the model tells from a premise teaches it to tell from a photo.

A premise is one of people's sentences about the photo, and with it the model is right more often.
So for each pair its own answer with premise and photo is what it should answer with the photo
alone. That needs no label, and so hypotheses about similar photos serve too, of which there are
many more than of labelled pairs.

Source: privileged information as in generalised distillation (arXiv 1511.03643); the model as its
own teacher, and the borrowed hypotheses, are ours.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_core.tokenizer import pad_rows
from model_core.training.config import DataConfig, LossConfig
from model_core.training.data import EntailmentExample, TrainBatch, TrainData
from model_core.training.losses import caption_loss, deep_supervision, imitation_loss
from model_core.training.recipe import StepLosses
from model_core.training.teacher_forcing import Depths, TeacherForcing
from model_core.training.text_data import TextPairs
from model_core.training.text_embedding import TextEmbeddingRecipe

CHUNK_SIZE = 1000
DEVIATION_FLOOR = 1e-3


class DrawnSides(NamedTuple):
    """Questions about photos of a batch, asked in two ways.

    Attributes:
        photos: ``(P,)`` which photo of the batch each is about.
        with_premise: ``(P, Tt)`` padded ids.
        alone: ``(P, Th)`` the same without the premise.
    """

    photos: Tensor
    with_premise: Tensor
    alone: Tensor


class BorrowedPairs:
    """Hypotheses about similar photos, each with a caption of the photo that it is asked of."""

    def __init__(self, data: TrainData, config: DataConfig) -> None:
        similar = similar_photos(data.features[0], config.num_similar_photos)
        self._data = data
        self._count = config.borrowed_pairs_per_batch
        self._offered: list[list[EntailmentExample]] = [
            [pair for other in row for pair in data.pairs[other]] for row in similar
        ]

    def draw(self, batch: TrainBatch, rng: np.random.Generator) -> DrawnSides | None:
        """As many as are drawn in a step; None when the photos of the batch are offered none."""
        photos = batch.photos.tolist()
        places = [place for place, photo in enumerate(photos) if self._offered[photo]]
        if not places or not self._count:
            return None
        drawn = [places[int(number)] for number in rng.integers(len(places), size=self._count)]
        premises, alone = [], []
        for place in drawn:
            offered = self._offered[photos[place]]
            hypothesis = offered[int(rng.integers(len(offered)))].hypothesis
            premise = self._data.draw_reference(photos[place], rng)
            premises.append(self._data.pair_side(hypothesis, premise))
            alone.append(self._data.pair_side(hypothesis, None))
        pad_id, device = self._data.pad_id, batch.photos.device
        return DrawnSides(
            torch.tensor(drawn, device=device),
            pad_rows(premises, pad_id).to(device),
            pad_rows(alone, pad_id).to(device),
        )


class PremiseGuidanceRecipe(TextEmbeddingRecipe):
    """The text embedding recipe whose pairs are asked with their premise and without."""

    def __init__(
        self,
        forcing: TeacherForcing,
        teacher: TeacherForcing,
        data: TrainData,
        config: LossConfig,
        borrowed: BorrowedPairs,
        text_pairs: TextPairs | None = None,
    ) -> None:
        super().__init__(forcing, teacher, data, config, text_pairs)
        self._borrowed = borrowed

    def _pair_losses(
        self, batch: TrainBatch, image: Tensor, depths: Depths, rng: np.random.Generator
    ) -> StepLosses:
        labelled = super()._pair_losses(batch, image, depths, rng)
        own = DrawnSides(batch.pair_photos, batch.pair_texts, batch.pair_hypotheses)
        sides = _join(own, self._borrowed.draw(batch, rng), self._data.pad_id)
        guide = self._answers_with_premise(image, sides, depths)
        photos = image.index_select(0, sides.photos)
        memory = self._forcing.joint_memory(photos, sides.alone, self._data.pad_id, depths.text)
        every = [row.float() for row in self._forcing.label_logits(memory, depths.decoder)]
        labels = batch.pair_labels
        alone = deep_supervision([caption_loss(row[: len(labels)], labels, 0.0) for row in every])
        guided = deep_supervision([imitation_loss(row, guide) for row in every])
        weighted = self._config.photo_alone_weight * alone + self._config.guidance_weight * guided
        parts = {"photo_alone": alone, "guidance": guided}
        return StepLosses(labelled.total + weighted, {**labelled.parts, **parts})

    @torch.no_grad()
    def _answers_with_premise(self, image: Tensor, sides: DrawnSides, depths: Depths) -> Tensor:
        """``(P, L)`` logits of full depth, as in an answer: without dropout."""
        model, layers = self._model, self._model.config.num_encoder_layers
        was_training = model.training
        model.eval()
        full = model.encoder.run_layers(image, None, depths.image, layers)
        photos = full.index_select(0, sides.photos)
        memory = self._forcing.joint_memory(photos, sides.with_premise, self._data.pad_id, layers)
        (logits,) = self._forcing.label_logits(memory, (model.config.num_decoder_layers,))
        model.train(was_training)
        model.stem.eval()
        return logits.float()


def similar_photos(features: np.ndarray, count: int) -> np.ndarray:
    """``(N, count)`` numbers of the other photos whose mean stem features point the same way.

    Args:
        features: ``(N, Ti, C)``, one view of each photo; channels are standardised here.
        count: Most of them; all the others when there are fewer.
    """
    means = features.astype(np.float32).mean(1)
    means = (means - means.mean(0)) / (means.std(0) + DEVIATION_FLOOR)
    means /= np.linalg.norm(means, axis=1, keepdims=True) + DEVIATION_FLOOR
    nearest = []
    for start in range(0, len(means), CHUNK_SIZE):
        cosines = means[start : start + CHUNK_SIZE] @ means.T
        cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -np.inf
        order = np.argsort(-cosines, axis=1, kind="stable")
        nearest.append(order[:, : min(count, len(means) - 1)])
    return np.concatenate(nearest)


def _join(first: DrawnSides, second: DrawnSides | None, pad_id: int) -> DrawnSides:
    if second is None:
        return first
    return DrawnSides(
        torch.cat([first.photos, second.photos]),
        _join_texts(first.with_premise, second.with_premise, pad_id),
        _join_texts(first.alone, second.alone, pad_id),
    )


def _join_texts(first: Tensor, second: Tensor, pad_id: int) -> Tensor:
    width = max(first.shape[1], second.shape[1])
    return torch.cat(
        [functional.pad(ids, (0, width - ids.shape[1]), value=pad_id) for ids in (first, second)]
    )
