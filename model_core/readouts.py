"""What is made of a request's encoded input: a memory to decode from, or the answer itself.

One entry per kind of output: how it is made of the states and, where no decoder follows, which part
of an answer it fills and its operations. Whatever is asked for runs through the same stem, layers
and exits.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model_core.encode import EncodedRow
from model_core.evaluation.flops import FlopModel
from model_core.model import Backbone
from model_core.policies import ExitPolicy
from model_core.request import Request, Wanted
from model_core.tag_heads import TagHeads
from model_core.types import Modality, ModalityTrace


class EncodedInput(NamedTuple):
    """Both modalities of one request where they left; None where it has no such input."""

    image: EncodedRow | None
    text: EncodedRow | None

    def traces(self, num_layers: int) -> tuple[ModalityTrace, ModalityTrace]:
        """Exits of image and text of an encoder of ``num_layers``."""
        absent = ModalityTrace.absent(num_layers)
        image, text = (absent if row is None else row.trace for row in self)
        return image, text


class Outcome(NamedTuple):
    """What came of a request that the encoder answers.

    Attributes:
        backbone: The model.
        request: What was asked.
        output: Its readout.
        policy: Under which its one modality left.
        depth: At which it did.
    """

    backbone: Backbone
    request: Request
    output: Tensor
    policy: ExitPolicy
    depth: int


class EncoderAnswer(NamedTuple):
    """How an output becomes an answer without a decoder.

    Attributes:
        fields: What it fills of an ``Answer``.
        flops: Operations of the output, heads that the policy read on the way included.
    """

    fields: Callable[[Outcome], dict[str, Any]]
    flops: Callable[[Outcome, FlopModel], int]


def read_memory(backbone: Backbone, encoded: EncodedInput) -> Tensor:
    """``(M, D)`` what the decoder attends to."""
    assert encoded.image is not None
    image = encoded.image.hidden.unsqueeze(0)
    text = image[:, :0] if encoded.text is None else encoded.text.hidden.unsqueeze(0)
    return backbone.memory(image, text)[0]


def read_embedding(backbone: Backbone, encoded: EncodedInput) -> Tensor:
    """``(E,)`` unit vector of the one modality that there is."""
    modality = Modality.TEXT if encoded.image is None else Modality.IMAGE
    row = encoded.image or encoded.text
    assert row is not None
    return backbone.pool(modality, row.hidden.unsqueeze(0))[0]


def read_tags(encoded: EncodedInput) -> Tensor:
    """``(N,)`` probabilities of the tag words, by the head of the depth where the photo left."""
    assert encoded.image is not None and encoded.image.logits is not None
    return encoded.image.logits.sigmoid()


def embedding_flops(outcome: Outcome, flops: FlopModel) -> int:
    """Operations from the states to the vector."""
    request = outcome.request
    return flops.image_vector() if request.has_image else flops.text_vector(len(request.text_ids))


def tag_fields(outcome: Outcome) -> dict[str, Any]:
    """Probability of each word, and the threshold of the depth."""
    heads = outcome.backbone.tag_heads
    assert heads is not None
    shares: list[float] = outcome.output.to("cpu", torch.float64).tolist()
    return {
        "probabilities": dict(zip(heads.config.words, shares, strict=True)),
        "threshold": float(heads.thresholds[outcome.depth - 1]),
    }


def tag_flops(heads: TagHeads | None, policy: ExitPolicy, depth: int) -> int:
    """Operations of the heads that are read for a photo that left at ``depth``."""
    assert heads is not None
    return sum(heads.flops(number) for number in heads_read(policy, depth))


def heads_read(policy: ExitPolicy, depth: int) -> list[int]:
    """Depths whose heads were read for a photo that left at ``depth``: where asked, and there."""
    if not policy.needs_logits:
        return [depth]
    asked = [number for number in range(1, depth + 1) if policy.known_score(number) is None]
    return sorted({*asked, depth})


READOUTS: dict[Wanted, Callable[[Backbone, EncodedInput], Tensor]] = {
    Wanted.TOKENS: read_memory,
    Wanted.EMBEDDING: read_embedding,
    Wanted.TAGS: lambda _, encoded: read_tags(encoded),
}
ENCODER_ANSWERS = {
    Wanted.EMBEDDING: EncoderAnswer(
        lambda outcome: {"embedding": tuple(outcome.output.tolist())}, embedding_flops
    ),
    Wanted.TAGS: EncoderAnswer(
        tag_fields,
        lambda outcome, _: tag_flops(outcome.backbone.tag_heads, outcome.policy, outcome.depth),
    ),
}
