"""Requests to encoder outputs: stem, embeddings and the encoder's exits for a batch of requests."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model_core.encode import EncodedModality, EncodedRow, encode_modality
from model_core.model import Backbone
from model_core.policies import ExitPolicy
from model_core.readouts import READOUTS, EncodedInput
from model_core.request import Request, Wanted
from model_core.tokenizer import WordPieceTokenizer, pad_rows
from model_core.types import ModalityTrace

STEM_PHOTOS = 2  # on a CPU; the maps of more are too large for the allocator to keep and use again
MAX_KEPT_INSTRUCTIONS = 64  # users may spell out any threshold: each makes an encoding of its own


@dataclass(frozen=True)
class EncodedRequest:
    """What the encoder made of one request.

    Attributes:
        output: What the request wants of its states (``model_core.readouts``).
        image: Exits of the image.
        text: Exits of the text.
        stem_ms: Wall-clock of the stem, for the whole batch.
        encode_ms: Wall-clock of the encoder, for the whole batch.
    """

    output: Tensor
    image: ModalityTrace
    text: ModalityTrace
    stem_ms: float
    encode_ms: float

    @property
    def depth(self) -> int:
        """Encoder layers that a request of one modality ran."""
        return self.image.depth + self.text.depth  # whichever is absent ran none


class RequestEncoder:
    """The encoder side of one model on one device; constant instructions are encoded once.

    An instruction that every request of a task shares is encoded once per model and text policy; no
    answer is charged for it, and its trace says ``from_cache``.
    """

    def __init__(
        self,
        backbone: Backbone,
        tokenizer: WordPieceTokenizer,
        device: torch.device,
        dtype: torch.dtype,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.device = device
        self.dtype = dtype
        self._clock = clock
        self._instructions: dict[tuple[tuple[int, ...], ExitPolicy], EncodedRow] = {}

    @torch.inference_mode()
    def encode(self, requests: Sequence[Request]) -> list[EncodedRequest]:
        """Outputs and encoder traces of a batch, in order; each modality runs for who has it."""
        started = self._clock()
        with_image = [request for request in requests if request.has_image]
        features = self._features(with_image) if with_image else None
        stem_done = self._clock()
        images = iter([] if features is None else self._encode_images(features, with_image).rows())
        texts = iter(self._encode_texts([request for request in requests if request.has_text]))
        inputs = [
            EncodedInput(
                next(images) if request.has_image else None,
                next(texts) if request.has_text else None,
            )
            for request in requests
        ]
        outputs = [
            READOUTS[request.wanted](self.backbone, encoded)
            for request, encoded in zip(requests, inputs, strict=True)
        ]
        stem_ms, encode_ms = 1e3 * (stem_done - started), 1e3 * (self._clock() - stem_done)
        num_layers = self.backbone.config.num_encoder_layers
        return [
            EncodedRequest(output, *encoded.traces(num_layers), stem_ms, encode_ms)
            for output, encoded in zip(outputs, inputs, strict=True)
        ]

    def _features(self, requests: Sequence[Request]) -> Tensor:
        """``(B, Ti, C)``: what requests bring with them, and the stem's output for the others."""
        pixels = [request.pixels for request in requests if request.pixels is not None]
        computed: Tensor | tuple[Tensor, ...] = ()
        if pixels:
            stacked = torch.stack(pixels).to(self.device, self.dtype)
            computed = self._run_stem(stacked)
            if len(computed) == len(requests):
                return computed
        rows = iter(computed)
        return torch.stack(
            [
                next(rows) if item.features is None else item.features.to(self.device, self.dtype)
                for item in requests
            ]
        )

    def _run_stem(self, pixels: Tensor) -> Tensor:
        if self.device.type != "cpu" or len(pixels) <= STEM_PHOTOS:
            return self.backbone.image_features(pixels)
        return torch.cat([self.backbone.image_features(part) for part in pixels.split(STEM_PHOTOS)])

    def _encode_images(self, features: Tensor, requests: Sequence[Request]) -> EncodedModality:
        embedded = self.backbone.embed_image(features)
        policies = [request.exits.image for request in requests]
        has_head = [request.wanted is Wanted.TAGS for request in requests]
        return self._run(embedded, None, policies, has_head)

    def _encode_texts(self, requests: Sequence[Request]) -> list[EncodedRow]:
        if not self.backbone.config.has_text_side:
            return self._summarize(requests) if requests else []
        own = [request for request in requests if not request.has_constant_text]
        encoded = iter(self._encode_own_texts(own) if own else [])
        return [
            self._instruction(request) if request.has_constant_text else next(encoded)
            for request in requests
        ]

    def _instruction(self, request: Request) -> EncodedRow:
        key = (request.text_ids, request.exits.text)
        if key not in self._instructions:
            (encoded,) = self._encode_own_texts([request])
            trace = replace(encoded.trace, from_cache=True)
            self._instructions[key] = EncodedRow(encoded.hidden.clone(), trace)
            if len(self._instructions) > MAX_KEPT_INSTRUCTIONS:
                del self._instructions[next(iter(self._instructions))]
        return self._instructions[key]

    def _summarize(self, requests: Sequence[Request]) -> list[EncodedRow]:
        """Sentences to embed, of a model whose encoder takes no text: no exit is on the way."""
        ids = self._padded_ids(requests)
        states = self.backbone.summarize(ids, ids != self.tokenizer.pad_id)
        absent = ModalityTrace.absent(self.backbone.config.num_encoder_layers)
        return [EncodedRow(row, absent) for row in states]

    def _encode_own_texts(self, requests: Sequence[Request]) -> list[EncodedRow]:
        lengths = [len(request.text_ids) for request in requests]
        ids = self._padded_ids(requests)
        mask = ids != self.tokenizer.pad_id if min(lengths) < max(lengths) else None
        embedded = self.backbone.embed_text(ids)
        encoded = self._run(embedded, mask, [request.exits.text for request in requests])
        return encoded.rows(lengths)

    def _padded_ids(self, requests: Sequence[Request]) -> Tensor:
        ids = pad_rows([request.text_ids for request in requests], self.tokenizer.pad_id)
        return ids.to(self.device)

    def _run(
        self,
        embedded: Tensor,
        mask: Tensor | None,
        policies: Sequence[ExitPolicy],
        has_head: Sequence[bool] = (),
    ) -> EncodedModality:
        return encode_modality(
            self.backbone.run_encoder_layer,
            self.backbone.config.num_encoder_layers,
            embedded,
            mask,
            policies,
            self.backbone.tag_heads if any(has_head) else None,
            has_head or None,
        )
