"""A loaded model as a caller uses it: prepare requests, answer them, or feed slots over time."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model_core.checkpoint import LoadedCheckpoint, load_checkpoint
from model_core.config import Depths, ExitConfig, TaskConfig
from model_core.errors import ConfigError, InputError
from model_core.exit_checks import check_depths, check_exits
from model_core.generate import Slots
from model_core.packed_weights import AUTO, pack_weights, resolve_weights
from model_core.policies import NeverPolicy
from model_core.preprocessing import PREPROCESSING_VERSION, prepare_pixels
from model_core.request import (
    EMBEDDING_TASK,
    MAX_LENGTH_PENALTY,
    MAX_NUM_BEAMS,
    Request,
    Wanted,
)
from model_core.request_encoder import EncodedRequest, RequestEncoder
from model_core.tagging import Tagger, TagRequest, tag_heads_of
from model_core.tokenizer import text_side
from model_core.training.data import normalise_caption
from model_core.types import Answer, TagAnswer

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
OFFLINE_SLOTS = 16

# A decoded photo, its (Ti, C) stem features computed before, or a sentence.
Content = Image.Image | Tensor | str


@dataclass(frozen=True)
class ModelInfo:
    """What a loaded model is.

    ``learned_kinds`` of policy are those that it has heads for; ``has_text_side`` is false where
    the encoder takes photos alone; ``tags`` are the words of its tag heads, none without them;
    ``embedding_size`` is 0 where it has no poolers.
    """

    name: str
    hash: str
    device: str
    dtype: str
    weights: str
    num_encoder_layers: int
    num_decoder_layers: int
    hidden_size: int
    vocabulary_size: int
    num_parameters: int
    preprocessing_version: str
    tasks: Mapping[str, TaskConfig]
    learned_kinds: tuple[str, ...] = ()
    first_exit_depth: int = 1
    has_text_side: bool = True
    embedding_size: int = 0
    tags: tuple[str, ...] = ()

    @property
    def depths(self) -> Depths:
        """Layers of the encoder and of the decoder, and the first exit of the latter."""
        return Depths(self.num_encoder_layers, self.num_decoder_layers, self.first_exit_depth)


class Predictor:
    """Answers requests with one model on one device."""

    def __init__(
        self,
        loaded: LoadedCheckpoint,
        device: str = "cpu",
        dtype: str = "float32",
        weights: str = AUTO,
    ) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"dtype: {dtype!r} is not one of {', '.join(DTYPES)}")
        self._device = _parse_device(device)
        self._dtype = DTYPES[dtype]
        self._hash = loaded.hash
        loaded.model.encoder.fold_text_embedding()
        self.model = loaded.model.to(self._device, self._dtype).eval()
        self._weights = resolve_weights(weights, self.model)
        pack_weights(self.model, self._weights)
        self.tokenizer = loaded.tokenizer
        self._encoder = RequestEncoder(self.model, self.tokenizer, self._device, self._dtype)

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        device: str = "cpu",
        dtype: str = "float32",
        num_threads: int = 1,
        weights: str = AUTO,
    ) -> "Predictor":
        """The predictor of a checkpoint folder; sets the number of torch threads of the process.

        Args:
            checkpoint: The folder.
            device: A torch device.
            dtype: One of ``DTYPES``: of the states, and of weights that are not packed.
            num_threads: Torch threads of one product.
            weights: One of ``WEIGHT_CHOICES`` (``model_core.packed_weights``).

        Raises:
            CheckpointError: The checkpoint cannot be loaded.
            ConfigError: The device, the dtype or the format of weights does not exist here.
        """
        torch.set_num_threads(num_threads)
        return cls(load_checkpoint(checkpoint), device, dtype, weights)

    @property
    def info(self) -> ModelInfo:
        """Name, hash, sizes, tasks and learned heads."""
        config = self.model.config
        return ModelInfo(
            name=config.name,
            hash=self._hash,
            device=str(self._device),
            dtype=str(self._dtype).removeprefix("torch."),
            weights=str(self._weights),
            num_encoder_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            hidden_size=config.hidden_size,
            vocabulary_size=self.tokenizer.vocabulary_size,
            num_parameters=sum(value.numel() for value in self.model.parameters()),
            preprocessing_version=PREPROCESSING_VERSION,
            tasks=config.tasks,
            learned_kinds=tuple(self.model.policy_heads),
            first_exit_depth=config.first_exit_depth,
            has_text_side=config.has_text_side,
            embedding_size=config.embedding_size,
            tags=() if self.model.tag_heads is None else self.model.tag_heads.config.words,
        )

    def check_poolers(self) -> None:
        """Refuses to embed without poolers.

        Raises:
            InputError: The model has none.
        """
        if self.model.poolers is None:
            raise InputError(
                f"checkpoint {self.info.name} has no poolers (embedding_size: 0), so it cannot "
                "compare photos with captions; train a model with embedding_size above 0"
            )

    def request(
        self,
        task: str,
        photo: Image.Image | Tensor,
        exits: ExitConfig,
        hypothesis: str | None = None,
        premise: str | None = None,
        max_new_tokens: int | None = None,
        num_beams: int = 1,
        length_penalty: float = 1.0,
    ) -> Request:
        """A prepared request.

        Args:
            task: Name of a task of the model.
            photo: Decoded RGB photo, or its ``(Ti, C)`` stem features computed before.
            exits: Policies and catch-up rule.
            hypothesis: The text of a task that takes text.
            premise: A sentence shown before it.
            max_new_tokens: Most decoding steps; the task's own limit when None.
            num_beams: Beams of the search; 1 is greedy decoding, and all that a task with allowed
                outputs takes.
            length_penalty: Of the search (``model_core.beam``); higher favours longer answers.

        Raises:
            InputError: The task is unknown, the text is empty or too long, or a limit is exceeded.
        """
        started = time.perf_counter()
        task_config = self._task(task)
        check_exits(exits, self.model.config, list(self.model.policy_heads))
        limit = task_config.max_new_tokens
        if max_new_tokens is not None and not 1 <= max_new_tokens <= limit:
            raise InputError(f"max_new_tokens: {max_new_tokens} must be between 1 and {limit}")
        _check_beams(task, task_config, num_beams, length_penalty)
        if exits.lookahead is not None:
            exits = _drafting(exits, task_config, num_beams)
        text_ids = self._text_ids(task, task_config, hypothesis, premise)
        side = self.model.config.stem.image_size
        return Request(
            task=task,
            pixels=None if isinstance(photo, Tensor) else prepare_pixels(photo, side),
            text_ids=tuple(text_ids),
            exits=exits,
            max_new_tokens=max_new_tokens or limit,
            labels=self._labels(task_config),
            has_constant_text=not task_config.takes_text,
            preprocess_ms=1e3 * (time.perf_counter() - started),
            features=photo if isinstance(photo, Tensor) else None,
            num_beams=num_beams,
            length_penalty=length_penalty,
        )

    def embedding_request(
        self, content: Content, exits: ExitConfig, is_text_cut: bool = False
    ) -> Request:
        """A prepared request for the unit vector of a photo or of a sentence.

        Args:
            content: The photo, its stem features, or the sentence; it is read as captions are.
            exits: The policy of the content's own modality holds; the others play no part.
            is_text_cut: A sentence longer than the model takes is cut instead of refused.

        Raises:
            InputError: The model has no poolers, the text is empty or too long, or a policy asks
                for more layers than there are.
        """
        started = time.perf_counter()
        self.check_poolers()
        check_exits(exits, self.model.config, list(self.model.policy_heads))
        text_ids: list[int] = []
        pixels = features = None
        if isinstance(content, str):
            text_ids = self._caption_ids(content, is_text_cut)
        elif isinstance(content, Tensor):
            features = content
        else:
            pixels = prepare_pixels(content, self.model.config.stem.image_size)
        return Request(
            task=EMBEDDING_TASK,
            pixels=pixels,
            text_ids=tuple(text_ids),
            exits=exits,
            max_new_tokens=0,
            preprocess_ms=1e3 * (time.perf_counter() - started),
            features=features,
            wanted=Wanted.EMBEDDING,
        )

    def _caption_ids(self, text: str, is_cut: bool) -> list[int]:
        caption, limit = normalise_caption(text), self.model.config.max_text_tokens
        if not caption:
            raise InputError("text: is empty; give a sentence about what a photo shows")
        if not is_cut:
            self._check_length("text", caption)
        return text_side(self.tokenizer, caption, None, limit)

    def _check_length(self, name: str, text: str) -> None:
        length, limit = len(self.tokenizer.encode(text)), self.model.config.max_text_tokens - 2
        if length > limit:
            raise InputError(f"{name}: {length} word pieces; at most {limit} are allowed")

    def _task(self, name: str) -> TaskConfig:
        tasks = self.model.config.tasks
        if name not in tasks:
            raise InputError(f"task: {name!r:.80} is unknown; this model has {', '.join(tasks)}")
        return tasks[name]

    def _labels(self, config: TaskConfig) -> tuple[tuple[str, int], ...]:
        words = config.allowed_outputs
        return tuple((label, self.tokenizer.word_id(word)) for label, word in words.items())

    def _text_ids(
        self, task: str, config: TaskConfig, hypothesis: str | None, premise: str | None
    ) -> list[int]:
        max_tokens = self.model.config.max_text_tokens
        if not config.takes_text:
            if hypothesis is not None or premise is not None:
                raise InputError(f"hypothesis: task {task} takes no text")
            if not config.instruction:
                return []
            return text_side(self.tokenizer, config.instruction, None, max_tokens)
        if hypothesis is None or not hypothesis.strip():
            raise InputError(f"hypothesis: is empty; task {task} needs a sentence to judge")
        for name, text in (("hypothesis", hypothesis), ("premise", premise or "")):
            self._check_length(name, text)
        return text_side(self.tokenizer, hypothesis, premise, max_tokens)

    def tag_request(self, photo: Image.Image | Tensor, exits: ExitConfig) -> TagRequest:
        """A prepared photo for ``tag``.

        Args:
            photo: Decoded RGB photo, or its ``(Ti, C)`` stem features computed before.
            exits: Only the policy at the image counts.

        Raises:
            InputError: The model has no tag heads, or no layer as deep as a policy asks for.
        """
        started = time.perf_counter()
        tag_heads_of(self.model)
        check_depths(exits, self.model.config)
        if isinstance(photo, Tensor):
            return TagRequest(None, exits, features=photo)
        pixels = prepare_pixels(photo, self.model.config.stem.image_size)
        return TagRequest(pixels, exits, preprocess_ms=1e3 * (time.perf_counter() - started))

    @property
    def tagger(self) -> Tagger:
        """What tags batches of requests, of any mix of policies.

        Raises:
            InputError: The model has no tag heads.
        """
        return Tagger(self.model, self._encoder)

    def tag(self, photos: Sequence[Image.Image | Tensor], exits: ExitConfig) -> list[TagAnswer]:
        """The words of each photo (or of its stem features), in order, under one setting.

        Raises:
            InputError: As for ``tag_request``.
        """
        return self.tagger.answer([self.tag_request(photo, exits) for photo in photos])

    def encode(self, requests: Sequence[Request]) -> list[EncodedRequest]:
        """What the encoder makes of a batch, in order; for answers that need no decoder."""
        return self._encoder.encode(requests)

    def new_slots(self, num_slots: int) -> Slots:
        """Empty slots on this model."""
        return Slots(self._encoder, num_slots)

    def answer(self, requests: Sequence[Request], num_slots: int = OFFLINE_SLOTS) -> list[Answer]:
        """The answers, in order: requests take slots as soon as enough are free.

        There are at most ``num_slots`` of them, or what the request with most beams takes.
        """
        if not requests:
            return []
        num_beams = [request.num_beams for request in requests]
        slots = self.new_slots(max(max(num_beams), min(num_slots, sum(num_beams))))
        return answer_all(slots, requests)


def answer_all(slots: Slots, requests: Sequence[Request]) -> list[Answer]:
    """Answers of ``requests`` in order, through ``slots`` that are empty at the start and end.

    Raises:
        ValueError: A request has more beams than there are slots.
    """
    widest = max((request.num_beams for request in requests), default=0)
    if widest > slots.num_slots:
        raise ValueError(f"num_beams: {widest} needs as many slots; there are {slots.num_slots}")
    answers: dict[int, Answer] = {}
    running: dict[int, int] = {}
    next_request = 0
    while len(answers) < len(requests):
        batch = _first_that_fit(requests[next_request:], slots.num_free)
        for offset, slot in enumerate(slots.admit(batch)):
            running[slot] = next_request + offset
        next_request += len(batch)
        for event in slots.step():
            if event.is_finished:
                answers[running.pop(event.slot)] = slots.result(event.slot)
                slots.release(event.slot)
    return [answers[number] for number in range(len(requests))]


def _first_that_fit(requests: Sequence[Request], num_free: int) -> Sequence[Request]:
    taken = itertools.accumulate(request.num_beams for request in requests)
    return requests[: sum(1 for _ in itertools.takewhile(lambda slots: slots <= num_free, taken))]


def _check_beams(task: str, config: TaskConfig, num_beams: int, length_penalty: float) -> None:
    if not 1 <= num_beams <= MAX_NUM_BEAMS:
        raise InputError(f"num_beams: {num_beams} must be between 1 and {MAX_NUM_BEAMS}")
    if num_beams > 1 and config.allowed_outputs:
        raise InputError(
            f"num_beams: {num_beams} cannot be used with task {task}, which answers with one of "
            "its labels; only 1 is allowed"
        )
    if not 0.0 <= length_penalty <= MAX_LENGTH_PENALTY:
        raise InputError(
            f"length_penalty: {length_penalty} must be between 0 and {MAX_LENGTH_PENALTY:g}"
        )


def _drafting(exits: ExitConfig, config: TaskConfig, num_beams: int) -> ExitConfig:
    """Exits of a lossless request; an answer of one label has nothing to draft."""
    if num_beams > 1:
        raise InputError(
            f"num_beams: {num_beams} cannot be used with lookahead {exits.lookahead}, which drafts "
            "greedy answers; only 1 is allowed"
        )
    if config.allowed_outputs:
        return exits.model_copy(update={"decoder": NeverPolicy(), "lookahead": None})
    return exits


def _parse_device(device: str) -> torch.device:
    try:
        parsed = torch.device(device)
        torch.zeros(1, device=parsed)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: {device!r} is not available here; use cpu") from error
    return parsed
