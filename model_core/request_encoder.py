"""Requests to memories: stem, embeddings and the encoder's exits for a batch of requests."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from model_core.encode import EncodedModality, encode_modality
from model_core.model import Backbone
from model_core.policies import ExitPolicy
from model_core.request import Request
from model_core.tokenizer import WordPieceTokenizer, pad_rows
from model_core.types import ModalityTrace

STEM_PHOTOS = 2  # on a CPU; the maps of more are too large for the allocator to keep and use again
NO_TEXT = ModalityTrace(0, 0, (), ())  # of a model without a text side: nothing ran, of nothing
MAX_KEPT_INSTRUCTIONS = 64  # users may spell out any threshold: each makes an encoding of its own


@dataclass(frozen=True)
class EncodedRequest:
    """What the decoder needs of one request.

    Attributes:
        memory: ``(M, D)``.
        image: Exits of the image.
        text: Exits of the text.
        stem_ms: Wall-clock of the stem, for the whole batch.
        encode_ms: Wall-clock of the encoder, for the whole batch.
    """

    memory: Tensor
    image: ModalityTrace
    text: ModalityTrace
    stem_ms: float
    encode_ms: float


class EncodedText(NamedTuple):
    """``(T, D)`` encoded text of one request, and how it got there."""

    hidden: Tensor
    trace: ModalityTrace


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
        self._instructions: dict[tuple[tuple[int, ...], ExitPolicy], EncodedText] = {}

    @torch.inference_mode()
    def encode(self, requests: Sequence[Request]) -> list[EncodedRequest]:
        """Memories and encoder traces of a batch, in order."""
        started = self._clock()
        features = self._features(requests)
        stem_done = self._clock()
        images = self._encode_images(features, requests)
        texts = self._encode_texts(requests)
        memories = [
            self.backbone.memory(images.hidden[row : row + 1], text.hidden.unsqueeze(0))[0]
            for row, text in enumerate(texts)
        ]
        stem_ms, encode_ms = 1e3 * (stem_done - started), 1e3 * (self._clock() - stem_done)
        return [
            EncodedRequest(memory, image, text.trace, stem_ms, encode_ms)
            for memory, image, text in zip(memories, images.traces, texts, strict=True)
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
        return self._run(embedded, None, [request.exits.image for request in requests])

    def _encode_texts(self, requests: Sequence[Request]) -> list[EncodedText]:
        if not self.backbone.config.has_text_side:
            nothing = torch.empty(
                0, self.backbone.config.hidden_size, device=self.device, dtype=self.dtype
            )
            return [EncodedText(nothing, NO_TEXT)] * len(requests)
        own = [request for request in requests if not request.has_constant_text]
        encoded = iter(self._encode_own_texts(own) if own else [])
        return [
            self._instruction(request) if request.has_constant_text else next(encoded)
            for request in requests
        ]

    def _instruction(self, request: Request) -> EncodedText:
        key = (request.text_ids, request.exits.text)
        if key not in self._instructions:
            (encoded,) = self._encode_own_texts([request])
            trace = replace(encoded.trace, from_cache=True)
            self._instructions[key] = EncodedText(encoded.hidden.clone(), trace)
            if len(self._instructions) > MAX_KEPT_INSTRUCTIONS:
                del self._instructions[next(iter(self._instructions))]
        return self._instructions[key]

    def _encode_own_texts(self, requests: Sequence[Request]) -> list[EncodedText]:
        lengths = [len(request.text_ids) for request in requests]
        ids = pad_rows([request.text_ids for request in requests], self.tokenizer.pad_id)
        ids = ids.to(self.device)
        mask = ids != self.tokenizer.pad_id if min(lengths) < max(lengths) else None
        embedded = self.backbone.embed_text(ids)
        encoded = self._run(embedded, mask, [request.exits.text for request in requests])
        return [
            EncodedText(encoded.hidden[row, :length], encoded.traces[row])
            for row, length in enumerate(lengths)
        ]

    def _run(
        self, embedded: Tensor, mask: Tensor | None, policies: Sequence[ExitPolicy]
    ) -> EncodedModality:
        return encode_modality(
            self.backbone.run_encoder_layer,
            self.backbone.config.num_encoder_layers,
            embedded,
            mask,
            policies,
        )
