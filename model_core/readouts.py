"""What is made of a request's encoded input: a memory to decode from, or the answer itself.

One row per kind of output: the product of the states, the part of an answer it fills, and its
operations. Whatever is asked for runs through the same stem, layers and exits.
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


class Readout(NamedTuple):
    """One kind of output.

    Attributes:
        read: The output of an encoded input.
        fields: What the output, at the depth where the input left, fills of an ``Answer``; nothing
            where a decoder goes on.
        flops: Operations of a request's output under a policy at that depth, heads that the policy
            read included; none where they are counted with the decoder.
    """

    read: Callable[[Backbone, EncodedInput], Tensor]
    fields: Callable[[Backbone, Tensor, int], dict[str, Any]]
    flops: Callable[[Backbone, FlopModel, Request, ExitPolicy, int], int]


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


def _embedding_fields(_: Backbone, vector: Tensor, __: int) -> dict[str, Any]:
    return {"embedding": tuple(vector.tolist())}


def _pooler_flops(_: Backbone, flops: FlopModel, request: Request, __: ExitPolicy, ___: int) -> int:
    return flops.image_vector() if request.has_image else flops.text_vector(len(request.text_ids))


def read_tags(_: Backbone, encoded: EncodedInput) -> Tensor:
    """``(N,)`` probabilities of the tag words, by the head of the depth where the photo left."""
    assert encoded.image is not None and encoded.image.logits is not None
    return encoded.image.logits.sigmoid()


def _tag_fields(backbone: Backbone, shares: Tensor, depth: int) -> dict[str, Any]:
    heads = backbone.tag_heads
    assert heads is not None
    probabilities = zip(heads.config.words, shares.to("cpu", torch.float64).tolist(), strict=True)
    return {
        "probabilities": dict(probabilities),
        "threshold": float(heads.thresholds[depth - 1]),
    }


def _tag_flops(
    backbone: Backbone, _: FlopModel, __: Request, policy: ExitPolicy, depth: int
) -> int:
    assert backbone.tag_heads is not None
    return tag_flops(backbone.tag_heads, policy, depth)


def tag_flops(heads: TagHeads, policy: ExitPolicy, depth: int) -> int:
    """Operations of the heads that are read for a photo that left at ``depth``."""
    return sum(heads.flops(number) for number in heads_read(policy, depth))


def heads_read(policy: ExitPolicy, depth: int) -> list[int]:
    """Depths whose heads were read for a photo that left at ``depth``: where asked, and there."""
    if not policy.needs_logits:
        return [depth]
    asked = [number for number in range(1, depth + 1) if policy.known_score(number) is None]
    return sorted({*asked, depth})


READOUTS = {
    Wanted.TOKENS: Readout(read_memory, lambda *_: {}, lambda *_: 0),
    Wanted.EMBEDDING: Readout(read_embedding, _embedding_fields, _pooler_flops),
    Wanted.TAGS: Readout(read_tags, _tag_fields, _tag_flops),
}
