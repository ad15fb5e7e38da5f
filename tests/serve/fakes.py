"""A predictor without a model: slots that count steps, and can be told to wait or to fail."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from model_core.config import ExitConfig, TaskConfig
from model_core.errors import InputError
from model_core.request import EMBEDDING_TASK, TAGS_TASK
from model_core.types import (
    TRACE_SCHEMA_VERSION,
    Answer,
    Cost,
    DecoderTrace,
    EncoderTrace,
    ExitTrace,
    ModalityTrace,
    StageMs,
    StepEvent,
    TokenTrace,
)

LABELS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}
MAX_TEXT_WORDS = 12


def make_encoder_trace(has_image: bool, depth: int = 2) -> ExitTrace:
    """Of an answer of the encoder alone."""
    side = ModalityTrace(depth, 3, (0.5,) * depth, (0.9,) * depth)
    sides = (side, ModalityTrace.absent(3)) if has_image else (ModalityTrace.absent(3), side)
    cost = Cost(float(depth), 3.0, 50, 75, StageMs(1.0, 2.0, 3.0, 0.0))
    return ExitTrace(TRACE_SCHEMA_VERSION, EncoderTrace(*sides), DecoderTrace(3, ()), cost)


def make_trace(words: Sequence[str], depth: int = 2) -> ExitTrace:
    side = ModalityTrace(depth, 3, (0.5,) * depth, (0.9,) * depth)
    tokens = tuple(TokenTrace(word, depth, (0.1, 0.7), (0.4, 0.4), 0, depth) for word in words)
    cost = Cost(4.0, 6.0, 100, 200, StageMs(1.0, 2.0, 3.0, 4.0))
    trace = EncoderTrace(side, side)
    return ExitTrace(TRACE_SCHEMA_VERSION, trace, DecoderTrace(3, tokens), cost)


@dataclass
class FakeRequest:
    """Takes ``num_steps`` steps; fails where it says. ``parts`` are its tokens, one a step."""

    name: str
    num_steps: int = 1
    task: str = "caption"
    fails_at_admit: bool = False
    fails_at_step: bool = False
    exits: ExitConfig = field(default_factory=ExitConfig)
    num_beams: int = 1
    embedding: tuple[float, ...] = ()
    has_image: bool = True
    tags: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[str, ...] = ()

    @property
    def text_parts(self) -> tuple[str, ...]:
        return self.parts or (self.name, f" {self.num_steps}")

    def part(self, step: int) -> str:
        """What the step adds, counted from 0; without ``parts`` most steps add nothing."""
        if self.parts:
            return self.parts[step]
        if self.task == "entailment":
            return "yes"
        if step == 0:
            return self.name
        return f" {self.num_steps}" if step == self.num_steps - 1 else ""

    def as_request(self) -> "FakeRequest":
        return self


class FakeSlots:
    """Slots whose steps wait for ``gate``, and that remember who was in which step together."""

    def __init__(self, num_slots: int = 4, gate: Callable[[], None] = lambda: None) -> None:
        self._gate = gate
        self._free = list(range(num_slots))
        self._left: dict[int, tuple[FakeRequest, int]] = {}
        self._held: dict[int, list[int]] = {}
        self.batches: list[list[str]] = []
        self.admitted: list[list[str]] = []
        self.released: list[int] = []

    @property
    def num_free(self) -> int:
        return len(self._free)

    def admit(self, requests: Sequence[FakeRequest]) -> list[int]:
        self.admitted.append([request.name for request in requests])
        for request in requests:
            if request.fails_at_admit:
                raise RuntimeError("cannot admit")
        taken = [[self._free.pop(0) for _ in range(request.num_beams)] for request in requests]
        for slots, request in zip(taken, requests, strict=True):
            self._left[slots[0]] = (request, request.num_steps)
            self._held[slots[0]] = slots
        return [slots[0] for slots in taken]

    def step(self) -> list[StepEvent]:
        self._gate()
        self.batches.append([request.name for request, _ in self._left.values()])
        events = []
        for slot, (request, left) in list(self._left.items()):
            if request.fails_at_step:
                raise RuntimeError("step broke on private text")
            self._left[slot] = (request, left - 1)
            part = request.part(request.num_steps - left)
            events.append(StepEvent(slot, part, 2, left == 1))
        return events

    def result(self, slot: int) -> Answer:
        request, _ = self._left[slot]
        if request.embedding:
            trace = make_encoder_trace(request.has_image)
            return Answer(request.task, "", (), {}, trace, embedding=request.embedding)
        if request.tags:
            return Answer(request.task, "", (), request.tags, make_encoder_trace(True), 0.5)
        if request.task == "entailment":
            probabilities = dict(zip(LABELS, (0.7, 0.2, 0.1), strict=True))
            return Answer(
                "entailment",
                "entailment",
                (1,),
                probabilities,
                make_trace(["yes"]),
                text_parts=("yes",),
            )
        parts = request.text_parts
        trace = make_trace([part.strip() for part in parts])
        ids = tuple(range(len(parts)))
        text = "".join(parts)
        return Answer("caption", text, ids, {}, trace, text_parts=parts, num_memory_tokens=7)

    def release(self, slot: int) -> None:
        del self._left[slot]
        self._free += self._held.pop(slot)
        self.released.append(slot)


class Gate:
    """Lets the engine's thread make a step only when the test says so; opened at the end."""

    def __init__(self) -> None:
        self._permits = threading.Semaphore(0)
        self._is_open = False

    def __call__(self) -> None:
        if not self._is_open:
            assert self._permits.acquire(timeout=10), "the test never allowed this step"

    def allow(self, num_steps: int = 1) -> None:
        self._permits.release(num_steps)

    def open(self) -> None:
        self._is_open = True
        self._permits.release(1)


@dataclass(frozen=True)
class FakeInfo:
    name: str = "fake"
    hash: str = "0123456789abcdef"
    device: str = "cpu"
    dtype: str = "float32"
    weights: str = "float32"
    num_encoder_layers: int = 3
    num_decoder_layers: int = 3
    hidden_size: int = 8
    vocabulary_size: int = 16
    num_parameters: int = 1000
    preprocessing_version: str = "1"
    learned_kinds: tuple[str, ...] = ()
    first_exit_depth: int = 1
    embedding_size: int = 2
    tags: tuple[str, ...] = ("dog", "snow", "cat")
    tasks: Mapping[str, TaskConfig] = field(
        default_factory=lambda: {
            "caption": TaskConfig(instruction="what ?", max_new_tokens=8, metric="caption"),
            "entailment": TaskConfig(
                takes_text=True, allowed_outputs=LABELS, max_new_tokens=1, metric="accuracy"
            ),
        }
    )


class FakePredictor:
    """Answers a caption with the photo's size and the decoder's kind of policy.

    The vector of a photo points one way, that of a text goes round with its number of words. Its
    tags are snow and, less likely, a dog.
    """

    def __init__(self, info: FakeInfo | None = None) -> None:
        self.info = info or FakeInfo()
        self.requests: list[FakeRequest] = []
        self.fails_at_step = False
        self.caption_parts: tuple[str, ...] = ()

    def request(
        self,
        task: str,
        photo: Image.Image,
        exits: ExitConfig,
        hypothesis: str | None = None,
        premise: str | None = None,
        max_new_tokens: int | None = None,
        num_beams: int = 1,
    ) -> FakeRequest:
        if hypothesis is not None and len(hypothesis.split()) > MAX_TEXT_WORDS:
            raise InputError(f"hypothesis: too many tokens; at most {MAX_TEXT_WORDS} are allowed")
        name = f"{photo.width}x{photo.height} {exits.decoder.kind}"
        parts = self.caption_parts if task == "caption" else ()
        request = FakeRequest(
            name if num_beams == 1 else f"{name} {num_beams} beams",
            len(parts) or max_new_tokens or 8,
            task,
            fails_at_step=self.fails_at_step,
            exits=exits,
            num_beams=num_beams,
            parts=parts,
        )
        self.requests.append(request)
        return request

    def embedding_request(self, content: Image.Image | str, exits: ExitConfig) -> FakeRequest:
        if not self.info.embedding_size:
            raise InputError("checkpoint fake has no poolers")
        is_text = isinstance(content, str)
        angle = len(content.split()) if isinstance(content, str) else 0
        request = FakeRequest(
            "text" if is_text else "photo",
            task=EMBEDDING_TASK,
            fails_at_step=self.fails_at_step,
            exits=exits,
            embedding=(math.cos(angle), math.sin(angle)),
            has_image=not is_text,
        )
        self.requests.append(request)
        return request

    def tag_request(self, photo: Image.Image, exits: ExitConfig) -> FakeRequest:
        if not self.info.tags:
            raise InputError("task tags needs tag heads; python -m model_core train makes them")
        shares = dict(zip(self.info.tags, (0.6, 0.9, 0.2), strict=True))
        request = FakeRequest("tags", task=TAGS_TASK, exits=exits, tags=shares)
        self.requests.append(request)
        return request
