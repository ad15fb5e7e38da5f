"""Photos and sentences as unit vectors, many at a time.

Only the encoder runs: each modality leaves where its policy says, and its states are normalised as
in the memory and pooled to one unit vector (``model_core.poolers``). The cosine of two vectors is
their product. Retrieval and search ask for vectors here, the service one by one: all through
``Predictor.embedding_request`` and the runtime's encoder.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model_core.config import ExitConfig
from model_core.predictor import Content, Predictor


class Embedded(NamedTuple):
    """``(N, E)`` unit vectors, and the depth each row left at."""

    vectors: Tensor
    depths: tuple[int, ...]


def embed(predictor: Predictor, contents: Sequence[Content], exits: ExitConfig) -> Embedded:
    """Vectors of one batch in order; texts that are too long are cut, as in training.

    Args:
        predictor: A model with poolers.
        contents: At least one photo, stem features of a photo, or sentence.
        exits: The policies of image and text hold, each for its modality.

    Raises:
        InputError: The model has no poolers, or a text is empty.
    """
    requests = [predictor.embedding_request(item, exits, is_text_cut=True) for item in contents]
    encoded = predictor.encode(requests)
    vectors = torch.stack([one.output for one in encoded])
    return Embedded(vectors, tuple(one.depth for one in encoded))


def join(parts: Sequence[Embedded]) -> Embedded:
    """The rows of all ``parts``, in order."""
    return Embedded(
        torch.cat([part.vectors for part in parts]),
        tuple(depth for part in parts for depth in part.depths),
    )
