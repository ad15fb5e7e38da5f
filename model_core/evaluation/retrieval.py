"""Text-to-image and image-to-text retrieval with pooled encoder states, at any exit depths.

Only the encoder runs: each modality leaves where its policy says, and its states are normalised as
in the memory and pooled to one unit vector (``model_core.poolers``). A caption finds its photo by
the largest cosine, and a photo one of its captions.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from model_core.config import ExitConfig
from model_core.encode import EncodedModality, encode_modality
from model_core.errors import InputError
from model_core.evaluation.benchmark import Conditions, conditions
from model_core.evaluation.examples import Example, Item, batches
from model_core.evaluation.metrics import mean, relative_saving
from model_core.policies import ExitPolicy
from model_core.poolers import Poolers
from model_core.predictor import Predictor
from model_core.tokenizer import pad_rows, text_side
from model_core.training.data import normalise_caption

BATCH_SIZE = 64
CUTS = (1, 5, 10)
TASK = "retrieval"


class Recall(BaseModel):
    """How early the right item stands in the order of similarity; rank 1 is first.

    Attributes:
        at: Share of queries whose right item is among the first K, by K.
        median_rank: Of the right item.
    """

    model_config = ConfigDict(extra="forbid")

    at: dict[int, float]
    median_rank: float


class RetrievalPoint(BaseModel):
    """One setting of the encoder.

    Attributes:
        name: Of the setting.
        exits: What ran; its decoder plays no part.
        text_to_image: Each caption among all photos.
        image_to_text: Each photo among all captions; the best of its own counts.
        image_depth: Mean layers run per photo.
        text_depth: Mean layers run per caption; 0 where the encoder takes no text.
        layers_saved: Share of the encoder's layers, both modalities counted alike.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    exits: ExitConfig
    text_to_image: Recall
    image_to_text: Recall
    image_depth: float
    text_depth: float
    layers_saved: float


class RetrievalResults(BaseModel):
    """Retrieval under several settings."""

    model_config = ConfigDict(extra="forbid")

    split: str
    num_photos: int
    num_captions: int
    conditions: Conditions
    points: list[RetrievalPoint]


class Embedded(NamedTuple):
    """``(N, E)`` unit vectors, and the depth each row left at."""

    vectors: Tensor
    depths: tuple[int, ...]


class Retriever:
    """Photos and captions of a split as vectors, under any setting; each setting encodes once."""

    def __init__(
        self, predictor: Predictor, examples: Sequence[Example], features: Mapping[Path, Tensor]
    ) -> None:
        """Check that the model can do it.

        Args:
            predictor: A model with poolers.
            examples: Photos with their captions as references.
            features: ``(Ti, C)`` stem features by photo.

        Raises:
            InputError: The checkpoint was trained without poolers.
        """
        self._model, self._tokenizer = predictor.model, predictor.tokenizer
        poolers_of(predictor)
        self._examples, self._features = examples, features
        self._captions = [caption for item in examples for caption in item.references]
        self._embedded: dict[tuple[str, ExitPolicy], Embedded] = {}

    @property
    def owners(self) -> np.ndarray:
        """``(captions,)`` number of the photo that each caption is about."""
        return np.repeat(
            np.arange(len(self._examples)), [len(item.references) for item in self._examples]
        )

    def measure(self, name: str, exits: ExitConfig) -> RetrievalPoint:
        """Both directions under one setting."""
        images = self._embed("image", exits.image, self._examples, self._image_batch)
        texts = self._embed("text", exits.text, self._captions, self._text_batch)
        similarity = (texts.vectors @ images.vectors.T).cpu().numpy()
        config = self._model.config
        image_depth, text_depth = mean(images.depths), mean(texts.depths)
        depths = (image_depth, text_depth) if config.has_text_side else (image_depth,)
        return RetrievalPoint(
            name=name,
            exits=exits,
            text_to_image=recall(photo_ranks(similarity, self.owners)),
            image_to_text=recall(caption_ranks(similarity, self.owners)),
            image_depth=image_depth,
            text_depth=text_depth,
            layers_saved=relative_saving(mean(depths), config.num_encoder_layers),
        )

    def _embed(
        self,
        modality: str,
        policy: ExitPolicy,
        items: Sequence[Item],
        embed_batch: Callable[[Sequence[Item], ExitPolicy], Embedded],
    ) -> Embedded:
        key = (modality, policy)
        if key not in self._embedded:
            parts = [embed_batch(batch, policy) for batch in batches(items, BATCH_SIZE)]
            self._embedded[key] = Embedded(
                torch.cat([part.vectors for part in parts]),
                tuple(depth for part in parts for depth in part.depths),
            )
        return self._embedded[key]

    @torch.inference_mode()
    def _image_batch(self, examples: Sequence[Example], policy: ExitPolicy) -> Embedded:
        weight = next(self._model.parameters())
        features = torch.stack([self._features[item.image] for item in examples])
        embedded = self._model.embed_image(features.to(weight.device, weight.dtype))
        encoded = self._encode(embedded, None, policy)
        vectors = self._model.embed_photos(encoded.hidden)
        return Embedded(vectors, tuple(trace.depth for trace in encoded.traces))

    @torch.inference_mode()
    def _text_batch(self, captions: Sequence[str], policy: ExitPolicy) -> Embedded:
        limit = self._model.config.max_text_tokens
        rows = [
            text_side(self._tokenizer, normalise_caption(caption), None, limit)
            for caption in captions
        ]
        ids = pad_rows(rows, self._tokenizer.pad_id).to(next(self._model.parameters()).device)
        mask = ids != self._tokenizer.pad_id
        depths = [0] * len(captions)  # where the encoder takes no text

        def run_text(hidden: Tensor, mask: Tensor) -> Tensor:
            encoded = self._encode(hidden, mask, policy)
            depths[:] = [trace.depth for trace in encoded.traces]
            return encoded.hidden

        vectors = self._model.embed_captions(ids, mask, run_text)
        return Embedded(vectors, tuple(depths))

    def _encode(self, hidden: Tensor, mask: Tensor | None, policy: ExitPolicy) -> EncodedModality:
        layers = self._model.config.num_encoder_layers
        run_layer = self._model.run_encoder_layer
        return encode_modality(run_layer, layers, hidden, mask, [policy] * len(hidden))


def poolers_of(predictor: Predictor) -> Poolers:
    """The poolers of a model.

    Raises:
        InputError: It has none.
    """
    poolers = predictor.model.poolers
    if poolers is None:
        raise InputError(
            f"checkpoint {predictor.info.name} has no poolers (embedding_size: 0), so it cannot "
            "compare photos with captions; train a model with embedding_size above 0"
        )
    return poolers


def photo_ranks(similarity: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """``(captions,)`` rank of each caption's photo among all photos; ties count against it.

    Args:
        similarity: ``(captions, photos)``.
        owners: ``(captions,)`` the right photo of each caption.
    """
    right = similarity[np.arange(len(owners)), owners]
    ranks: np.ndarray = (similarity >= right[:, None]).sum(axis=1)
    return ranks


def caption_ranks(similarity: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """``(photos,)`` rank of each photo's best own caption among all captions.

    A caption of another photo that is as similar counts against it.
    """
    is_own = owners[:, None] == np.arange(similarity.shape[1])[None, :]
    best = np.where(is_own, similarity, -np.inf).max(axis=0)
    ranks: np.ndarray = ((similarity >= best[None, :]) & ~is_own).sum(axis=0) + 1
    return ranks


def recall(ranks: np.ndarray) -> Recall:
    """Recall at each of ``CUTS``, and the median, of ``(N,)`` ranks."""
    return Recall(
        at={cut: float((ranks <= cut).mean()) for cut in CUTS},
        median_rank=float(np.median(ranks)),
    )


def retrieve(
    predictor: Predictor,
    split: str,
    examples: Sequence[Example],
    features: Mapping[Path, Tensor],
    settings: Mapping[str, ExitConfig],
) -> RetrievalResults:
    """Retrieval on ``examples`` under each of the named settings.

    Raises:
        InputError: The checkpoint was trained without poolers.
    """
    retriever = Retriever(predictor, examples, features)
    return RetrievalResults(
        split=split,
        num_photos=len(examples),
        num_captions=sum(len(item.references) for item in examples),
        conditions=conditions(predictor, TASK, len(examples)),
        points=[retriever.measure(name, exits) for name, exits in settings.items()],
    )
