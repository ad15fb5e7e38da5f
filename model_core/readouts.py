"""What is made of a request's encoded input: a memory to decode from, or the answer itself.

One row per kind of output: the product of the states, the part of an answer it fills, and its
operations. Whatever is asked for runs through the same stem, layers and exits.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from model_core.encode import EncodedRow
from model_core.evaluation.flops import FlopModel
from model_core.model import Backbone
from model_core.request import Request, Wanted
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
        fields: What it fills of an ``Answer``; nothing where a decoder goes on.
        flops: Operations of ``read`` that are not counted with the decoder.
    """

    read: Callable[[Backbone, EncodedInput], Tensor]
    fields: Callable[[Backbone, Tensor], dict[str, Any]]
    flops: Callable[[FlopModel, Request], int]


def read_memory(backbone: Backbone, encoded: EncodedInput) -> Tensor:
    """``(M, D)`` what the decoder attends to."""
    assert encoded.image is not None and encoded.text is not None
    hidden = (encoded.image.hidden.unsqueeze(0), encoded.text.hidden.unsqueeze(0))
    return backbone.memory(*hidden)[0]


def read_embedding(backbone: Backbone, encoded: EncodedInput) -> Tensor:
    """``(E,)`` unit vector of the one modality that there is."""
    modality = Modality.TEXT if encoded.image is None else Modality.IMAGE
    row = encoded.image or encoded.text
    assert row is not None
    return backbone.pool(modality, row.hidden.unsqueeze(0))[0]


def _pooler_flops(flops: FlopModel, request: Request) -> int:
    image_tokens = flops.config.stem.num_image_tokens
    return flops.pooler(image_tokens if request.has_image else len(request.text_ids))


READOUTS = {
    Wanted.TOKENS: Readout(read_memory, lambda *_: {}, lambda *_: 0),
    Wanted.EMBEDDING: Readout(
        read_embedding, lambda _, vector: {"embedding": tuple(vector.tolist())}, _pooler_flops
    ),
}
